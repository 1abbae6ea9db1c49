#include "engine/data/IdxFile.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>

#include "common/Error.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr int kMostDimensions = 8;
constexpr std::size_t kChunk = 1 << 20;

std::int64_t size_of(IdxType type) {
  switch (type) {
    case IdxType::kByte:
      return 1;
    case IdxType::kInt32:
    case IdxType::kFloat:
      return 4;
    case IdxType::kDouble:
      return 8;
  }
  throw InternalError("unknown IDX type");
}

/// Reads a plain or gzip file from its start; zlib tells the two apart by content.
class Input {
 public:
  explicit Input(const fs::path& path) : path_(path), file_(::gzopen(path.c_str(), "rb"), &::gzclose) {
    if (!file_) throw InputError(with_errno("cannot open " + path.string()));
    ::gzbuffer(file_.get(), kChunk);
  }

  /// Fewer than `count` bytes only at the end of the file.
  std::size_t read(void* out, std::size_t count) {
    const int got = ::gzread(file_.get(), out, static_cast<unsigned>(count));
    int code = Z_OK;
    const char* text = ::gzerror(file_.get(), &code);
    // Z_BUF_ERROR: the file ends within a gzip member.
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
      throw InputError(path_.string() + " is not an intact gzip file: after " + std::to_string(offset_) +
                       " bytes of content: " + (code == Z_BUF_ERROR ? "it is truncated" : text));
    }
    offset_ += static_cast<std::size_t>(got);
    return static_cast<std::size_t>(got);
  }

  std::size_t offset() const { return offset_; }

 private:
  const fs::path& path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
  std::size_t offset_ = 0;
};

std::uint32_t big_endian_32(const std::uint8_t* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | bytes[3];
}

double number(IdxType type, const std::uint8_t* bytes) {
  const std::uint32_t high = big_endian_32(bytes);
  switch (type) {
    case IdxType::kInt32:
      return static_cast<std::int32_t>(high);
    case IdxType::kFloat:
      return std::bit_cast<float>(high);
    default:
      return std::bit_cast<double>(std::uint64_t{high} << 32 | big_endian_32(bytes + 4));
  }
}

std::optional<IdxHeader> read_header(Input& input, const fs::path& path) {
  std::array<std::uint8_t, 4> magic{};
  if (input.read(magic.data(), magic.size()) != magic.size() || magic[0] != 0 || magic[1] != 0) return std::nullopt;
  const std::array types = {IdxType::kByte, IdxType::kInt32, IdxType::kFloat, IdxType::kDouble};
  const auto type = std::ranges::find(types, static_cast<IdxType>(magic[2]));
  if (type == types.end() || magic[3] == 0 || magic[3] > kMostDimensions) return std::nullopt;
  IdxHeader header{.type = *type, .dimensions = {}};
  __int128 bytes = size_of(*type);
  for (int i = 0; i < magic[3]; ++i) {
    std::array<std::uint8_t, 4> size{};
    if (input.read(size.data(), size.size()) != size.size()) {
      throw InputError(path.string() + " is truncated in its header, at byte " + std::to_string(input.offset()));
    }
    header.dimensions.push_back(big_endian_32(size.data()));
    bytes = std::min(bytes * header.dimensions.back(), static_cast<__int128>(1) << 62);
  }
  if (bytes >> 48 != 0) throw InputError(path.string() + " claims an impossible size in its header");
  return header;
}

std::string sizes_text(const IdxHeader& header) {
  std::string text;
  for (const std::int64_t size : header.dimensions) text += (text.empty() ? "" : " × ") + std::to_string(size);
  return text;
}

}  // namespace

std::int64_t IdxHeader::elements() const {
  return std::accumulate(dimensions.begin(), dimensions.end(), std::int64_t{1}, std::multiplies<>());
}

std::int64_t IdxHeader::bytes() const { return elements() * size_of(type); }

std::optional<IdxHeader> read_idx_header(const fs::path& path) {
  Input input(path);
  return read_header(input, path);
}

IdxArray read_idx(const fs::path& path) {
  Input input(path);
  const auto header = read_header(input, path);
  if (!header) throw InputError(path.string() + " does not begin with the magic number of an IDX file");
  // Grows with what the file really holds, so that a header that lies cannot make us allocate.
  std::vector<std::uint8_t> raw;
  const auto wanted = static_cast<std::size_t>(header->bytes());
  while (raw.size() < wanted) {
    const std::size_t before = raw.size();
    raw.resize(std::min(wanted, before + std::max(kChunk, before)));
    for (std::size_t done = before; done < raw.size();) {
      const std::size_t got = input.read(raw.data() + done, std::min(kChunk, raw.size() - done));
      if (got == 0) {
        throw InputError(path.string() + " is truncated: its header says " + sizes_text(*header) + ", " +
                         std::to_string(wanted) + " bytes of elements; it has " + std::to_string(done));
      }
      done += got;
    }
  }
  if (std::uint8_t extra; input.read(&extra, 1) != 0) {
    throw InputError(path.string() + " has more bytes than its header says: " + sizes_text(*header) + ", " +
                     std::to_string(wanted) + " bytes of elements");
  }
  IdxArray array{.header = *header, .bytes = {}, .numbers = {}};
  if (header->type == IdxType::kByte) {
    array.bytes = std::move(raw);
  } else {
    const auto item = static_cast<std::size_t>(size_of(header->type));
    array.numbers.reserve(wanted / item);
    for (std::size_t at = 0; at < wanted; at += item) array.numbers.push_back(number(header->type, raw.data() + at));
  }
  return array;
}

}  // namespace lockstep

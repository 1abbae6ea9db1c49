#include "engine/data/IdxFile.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <functional>
#include <memory>
#include <new>
#include <numeric>

#include "common/Error.h"
#include "common/RegularFile.h"
#include "common/Text.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr int kMostDimensions = 8;
constexpr std::int64_t kMostBytes = std::int64_t{1} << 48;
constexpr std::size_t kChunk = 1 << 20;
constexpr std::array<std::uint8_t, 2> kGzipMagic = {0x1f, 0x8b};
constexpr int kGzipWindow = 15 + 16;               // the largest, and gzip's header and checksum around it
constexpr std::uintmax_t kMostCompression = 1032;  // of deflate: zlib's "Technical Details", zlib.net/zlib_tech.html

std::int64_t size_of(IdxType type) {
  switch (type) {
    case IdxType::kByte:
    case IdxType::kSignedByte:
      return 1;
    case IdxType::kInt16:
      return 2;
    case IdxType::kInt32:
    case IdxType::kFloat:
      return 4;
    case IdxType::kDouble:
      return 8;
  }
  throw InternalError("unknown IDX type");
}

/// Reads a plain or gzip file from its start; its first two bytes tell the two apart. A gzip file is one member or
/// several, and nothing else: zlib's own reader would pass over what follows them in silence.
class Input {
 public:
  explicit Input(const fs::path& path) : path_(path), file_(nullptr, &std::fclose) {
    FileDescriptor file = open_regular_file(path);
    file_.reset(::fdopen(file.get(), "rb"));
    if (!file_) throw InputError(with_errno("cannot open " + path.string()));
    file.release();  // the stream closes it
    fill();
    gzip_ = stream_.avail_in >= kGzipMagic.size() && std::ranges::equal(kGzipMagic, std::span(buffer_).first(2));
    if (gzip_ && ::inflateInit2(&stream_, kGzipWindow) != Z_OK) throw std::bad_alloc();
  }
  ~Input() {
    if (gzip_) ::inflateEnd(&stream_);
  }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  /// Fewer than `count` bytes only at the end of the file.
  std::size_t read(void* out, std::size_t count) {
    stream_.next_out = static_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(count);
    while (stream_.avail_out > 0) {
      if (stream_.avail_in == 0) fill();
      if (stream_.avail_in == 0 && (!gzip_ || member_ended_)) break;
      gzip_ ? inflate_some() : copy_some();
    }
    return count - stream_.avail_out;
  }

  /// Bytes of content read so far.
  std::size_t offset() const { return offset_; }

  /// An upper bound of the bytes of content in the file.
  std::uintmax_t most_content() const {
    std::error_code error;
    const std::uintmax_t size = fs::file_size(path_, error);
    if (error) throw InputError("cannot read the size of " + path_.string() + ": " + error.message());
    return gzip_ ? size * kMostCompression : size;
  }

 private:
  void fill() {
    stream_.next_in = buffer_.data();
    stream_.avail_in = static_cast<uInt>(std::fread(buffer_.data(), 1, buffer_.size(), file_.get()));
    if (std::ferror(file_.get()) != 0) throw InputError(with_errno("cannot read " + path_.string()));
  }

  void copy_some() {
    const uInt count = std::min(stream_.avail_in, stream_.avail_out);
    stream_.next_out = std::copy_n(stream_.next_in, count, stream_.next_out);
    stream_.next_in += count;
    stream_.avail_in -= count;
    stream_.avail_out -= count;
    offset_ += count;
  }

  void inflate_some() {
    if (member_ended_) {
      if (*stream_.next_in != kGzipMagic[0]) refuse("bytes follow that are no gzip");
      ::inflateReset(&stream_);
      member_ended_ = false;
    }
    const uInt room = stream_.avail_out;
    const int code = ::inflate(&stream_, Z_NO_FLUSH);
    offset_ += room - stream_.avail_out;
    member_ended_ = code == Z_STREAM_END;
    if (code == Z_OK || member_ended_) return;
    if (code == Z_MEM_ERROR) throw std::bad_alloc();
    // Z_BUF_ERROR: the file ends within a member.
    refuse(code == Z_BUF_ERROR ? "it is truncated" : stream_.msg != nullptr ? stream_.msg : "it is damaged");
  }

  [[noreturn]] void refuse(const std::string& cause) const {
    throw InputError(path_.string() + " is not an intact gzip file: after " + std::to_string(offset_) +
                     " bytes of content, " + cause + "; copy or compress it again");
  }

  const fs::path& path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(kChunk);
  z_stream stream_{};  ///< of a plain file, too, its input and output
  bool gzip_ = false;
  bool member_ended_ = false;
  std::size_t offset_ = 0;
};

template <typename Stored>
Stored big_endian(const std::uint8_t* bytes) {
  static_assert(std::endian::native == std::endian::little);
  std::array<std::uint8_t, sizeof(Stored)> native;
  std::reverse_copy(bytes, bytes + sizeof(Stored), native.begin());
  return std::bit_cast<Stored>(native);
}

template <typename Stored>
void convert(const std::uint8_t* bytes, std::int64_t first, std::span<double> numbers) {
  bytes += first * static_cast<std::int64_t>(sizeof(Stored));
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = big_endian<Stored>(bytes + i * sizeof(Stored));
}

std::optional<IdxHeader> read_header(Input& input, const fs::path& path) {
  std::array<std::uint8_t, 4> magic{};
  if (input.read(magic.data(), magic.size()) != magic.size() || magic[0] != 0 || magic[1] != 0) {
    return std::nullopt;
  }
  const std::array types = {IdxType::kByte,  IdxType::kSignedByte, IdxType::kInt16,
                            IdxType::kInt32, IdxType::kFloat,      IdxType::kDouble};
  const auto* const type = std::ranges::find(types, static_cast<IdxType>(magic[2]));
  if (type == types.end() || magic[3] == 0 || magic[3] > kMostDimensions) return std::nullopt;
  IdxHeader header{.type = *type, .dimensions = {}};
  std::int64_t bytes = size_of(*type);
  for (int i = 0; i < magic[3]; ++i) {
    std::array<std::uint8_t, 4> size{};
    if (input.read(size.data(), size.size()) != size.size()) {
      throw InputError(path.string() + " is truncated at byte " + std::to_string(input.offset()) +
                       ", in its header of " + std::to_string(magic.size() * (1 + magic[3])) +
                       " bytes; copy or convert it again");
    }
    header.dimensions.push_back(big_endian<std::uint32_t>(size.data()));
    if (header.dimensions.back() > 0 && bytes >= kMostBytes / header.dimensions.back()) {
      throw InputError(path.string() + " claims an impossible size at byte " +
                       std::to_string(input.offset() - size.size()) + ": " + header.dimensions_text() +
                       " elements or more; it is damaged or no IDX file");
    }
    bytes *= header.dimensions.back();
  }
  return header;
}

}  // namespace

std::int64_t IdxHeader::elements() const {
  return std::accumulate(dimensions.begin(), dimensions.end(), std::int64_t{1}, std::multiplies<>());
}

std::int64_t IdxHeader::bytes() const { return elements() * size_of(type); }

std::string IdxHeader::dimensions_text() const { return join(dimensions, " × "); }

void IdxArray::read(std::int64_t first, std::span<double> numbers) const {
  switch (header.type) {
    case IdxType::kByte:
      return convert<std::uint8_t>(bytes.data(), first, numbers);
    case IdxType::kSignedByte:
      return convert<std::int8_t>(bytes.data(), first, numbers);
    case IdxType::kInt16:
      return convert<std::int16_t>(bytes.data(), first, numbers);
    case IdxType::kInt32:
      return convert<std::int32_t>(bytes.data(), first, numbers);
    case IdxType::kFloat:
      return convert<float>(bytes.data(), first, numbers);
    case IdxType::kDouble:
      return convert<double>(bytes.data(), first, numbers);
  }
}

std::optional<IdxHeader> read_idx_header(const fs::path& path) {
  // What /proc calls files has no size; reading some of it waits, or never ends.
  if (std::error_code error; fs::file_size(path, error) == 0) return std::nullopt;
  Input input(path);
  return read_header(input, path);
}

IdxArray read_idx(const fs::path& path) {
  Input input(path);
  const auto header = read_header(input, path);
  if (!header) {
    throw InputError(path.string() +
                     " does not begin with the magic number of an IDX file (00 00, an element type of " +
                     "08 to 0E, 01 to 08 dimensions)");
  }
  const std::size_t begin = input.offset();
  const auto wanted = static_cast<std::size_t>(header->bytes());
  const std::string expected =
      "its header says " + header->dimensions_text() + " elements, which end at byte " + std::to_string(begin + wanted);
  IdxArray array{.header = *header, .bytes = {}};
  std::vector<std::uint8_t>& bytes = array.bytes;
  try {
    // Reserved memory costs nothing until it is filled, and a header that lies fills none.
    bytes.reserve(std::min<std::uintmax_t>(wanted, input.most_content()));
    while (bytes.size() < wanted) {
      const std::size_t done = bytes.size();
      const std::size_t count = std::min(kChunk, wanted - done);
      bytes.resize(done + count);
      if (input.read(bytes.data() + done, count) < count) {
        throw InputError(path.string() + " is truncated at byte " + std::to_string(input.offset()) + ": " + expected +
                         "; copy or convert it again");
      }
    }
  } catch (const std::bad_alloc&) {
    throw InputError(path.string() + " does not fit in memory: " + expected);
  }
  if (std::uint8_t extra = 0; input.read(&extra, 1) != 0) {
    throw InputError(path.string() + " has more bytes than it should: " + expected + "; copy or convert it again");
  }
  return array;
}

}  // namespace lockstep

#include "engine/files/SafetensorsFile.h"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/Crc32c.h"
#include "common/Error.h"
#include "common/Text.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little);

namespace {

constexpr std::pair<const char*, ElementType> kTypes[] = {
    {"BOOL", ElementType::kBool},  {"U8", ElementType::kUint8},      {"I8", ElementType::kInt8},
    {"I16", ElementType::kInt16},  {"I32", ElementType::kInt32},     {"I64", ElementType::kInt64},
    {"F16", ElementType::kHalf},   {"BF16", ElementType::kBFloat16}, {"F32", ElementType::kFloat},
    {"F64", ElementType::kDouble}, {"U16", ElementType::kUint16},    {"U32", ElementType::kUint32},
    {"U64", ElementType::kUint64},
};

SafetensorsFile::Entry read_entry(const json& entry, std::uint64_t data_size) {
  const std::string type = entry.at("dtype");
  const auto* found = std::ranges::find_if(kTypes, [&](const auto& row) { return row.first == type; });
  if (found == std::end(kTypes)) throw InputError("element type " + in_quotes(type) + " is not supported");
  SafetensorsFile::Entry result{.type = found->second, .sizes = {}};
  for (const json& size : entry.at("shape")) result.sizes.push_back(read_int(size));
  result.begin = static_cast<std::uint64_t>(read_int(entry.at("data_offsets").at(0), 0));
  result.end = static_cast<std::uint64_t>(read_int(entry.at("data_offsets").at(1), 0));
  // A size of 0 makes a tensor of no bytes; the other sizes are multiplied all the same, by libtorch as well.
  constexpr __int128 kMostBytes = __int128{1} << 50;
  __int128 bytes = static_cast<__int128>(size_of(result.type));
  for (const std::int64_t size : result.sizes) {
    bytes *= std::max<std::int64_t>(size, 1);
    if (size < 0 || bytes > kMostBytes) throw InputError("impossible shape " + excerpt(entry.at("shape")));
  }
  if (std::ranges::count(result.sizes, 0) > 0) bytes = 0;
  if (result.begin > result.end || result.end > data_size ||
      bytes != static_cast<__int128>(result.end - result.begin)) {
    throw InputError("its shape and its offsets " + entry.at("data_offsets").dump() + " do not fit the file's " +
                     std::to_string(data_size) + " bytes of data");
  }
  return result;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  const auto refuse = [&](const std::string& why) { return InputError(file_.name() + ": " + why); };
  std::uint64_t length = 0;
  const std::uint64_t size = file_.size();
  if (size < sizeof length) {
    throw refuse("it is no safetensors file: it has " + std::to_string(size) + " bytes, too few for a header");
  }
  file_.read_at(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > kMostHeaderBytes || length > size - sizeof length) {
    throw refuse("its header claims " + std::to_string(length) + " bytes; the file has " + std::to_string(size));
  }
  std::string text(length, '\0');
  file_.read_at(sizeof length, std::as_writable_bytes(std::span(text)));
  header_crc32c_ = crc32c(std::as_bytes(std::span(text)), crc32c(std::as_bytes(std::span(&length, 1))));
  data_start_ = sizeof length + length;
  const std::uint64_t data_size = size - data_start_;
  try {
    const json header = parse_json(text, file_.name() + ": its header", {.bytes = kMostHeaderBytes});
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") {
        metadata_ = entry.get<std::map<std::string, std::string>>();
        continue;
      }
      try {
        entries_[name] = read_entry(entry, data_size);
      } catch (const InputError& cause) {
        throw refuse("tensor " + in_quotes(name) + ": " + cause.what());
      }
    }
  } catch (const json::exception& cause) {
    throw refuse(std::string("its header is not what the format says: ") + cause.what());
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const auto& [name, entry] : entries_) ranges.emplace_back(entry.begin, entry.end);
  std::ranges::sort(ranges);
  std::uint64_t end = 0;
  for (const auto& [begin, next] : ranges) {
    if (begin != end)
      throw refuse("its tensors overlap or leave a gap at byte " + std::to_string(end) + " of its data");
    end = next;
  }
  if (end != data_size) {
    throw refuse("its tensors end at byte " + std::to_string(end) + " of its " + std::to_string(data_size) +
                 " bytes of data");
  }
}

void SafetensorsFile::read(const std::string& name, std::span<std::byte> bytes) const {
  const Entry& entry = entries_.at(name);
  if (bytes.size() != entry.end - entry.begin) throw InternalError("a tensor is not read into memory of its size");
  read_at(entry, 0, bytes);
}

void SafetensorsFile::read_at(const Entry& entry, std::uint64_t at, std::span<std::byte> bytes) const {
  file_.read_at(data_start_ + entry.begin + at, bytes);
}

std::string SafetensorsFile::type_name(ElementType type) {
  const auto* found = std::ranges::find(kTypes, type, &std::pair<const char*, ElementType>::second);
  if (found == std::end(kTypes)) throw InternalError("safetensors has no " + to_string(type));
  return found->first;
}

}  // namespace lockstep

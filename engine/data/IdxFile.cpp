#include "engine/data/IdxFile.h"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <numeric>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Field.h"
#include "engine/files/InputFile.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr int kMostDimensions = 8;

std::uint32_t big_endian(const std::array<std::uint8_t, 4>& bytes) {
  return std::uint32_t{bytes[0]} << 24U | std::uint32_t{bytes[1]} << 16U | std::uint32_t{bytes[2]} << 8U | bytes[3];
}

std::optional<IdxHeader> read_header(InputFile& input, const fs::path& path) {
  std::array<std::uint8_t, 4> magic{};
  if (!begins_idx(std::span(magic).first(input.read(magic.data(), magic.size())))) return std::nullopt;
  IdxHeader header{.type = static_cast<IdxType>(magic[2]), .dimensions = {}};
  auto bytes = static_cast<std::int64_t>(size_of(header.element_type()));
  for (int i = 0; i < magic[3]; ++i) {
    std::array<std::uint8_t, 4> size{};
    if (input.read(size.data(), size.size()) != size.size()) {
      throw InputError(path.string() + " is truncated at byte " + std::to_string(input.offset()) +
                       ", in its header of " + std::to_string(magic.size() * (1 + magic[3])) +
                       " bytes; copy or convert it again");
    }
    header.dimensions.push_back(big_endian(size));
    if (header.dimensions.back() > 0 && bytes >= kMostArrayBytes / header.dimensions.back()) {
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

std::int64_t IdxHeader::bytes() const { return elements() * static_cast<std::int64_t>(size_of(element_type())); }

std::string IdxHeader::dimensions_text() const { return join(dimensions, " × "); }

ElementType IdxHeader::element_type() const {
  switch (type) {
    case IdxType::kByte:
      return ElementType::kUint8;
    case IdxType::kSignedByte:
      return ElementType::kInt8;
    case IdxType::kInt16:
      return ElementType::kInt16;
    case IdxType::kInt32:
      return ElementType::kInt32;
    case IdxType::kFloat:
      return ElementType::kFloat;
    case IdxType::kDouble:
      return ElementType::kDouble;
  }
  throw InternalError("unknown IDX type");
}

bool begins_idx(std::span<const std::uint8_t> bytes) {
  constexpr std::array kTypes = {IdxType::kByte,  IdxType::kSignedByte, IdxType::kInt16,
                                 IdxType::kInt32, IdxType::kFloat,      IdxType::kDouble};
  return bytes.size() >= 4 && bytes[0] == 0 && bytes[1] == 0 &&
         std::ranges::find(kTypes, static_cast<IdxType>(bytes[2])) != kTypes.end() && bytes[3] >= 1 &&
         bytes[3] <= kMostDimensions;
}

std::optional<IdxHeader> read_idx_header(const fs::path& path) { return read_header(*open_input_file(path), path); }

IdxArray read_idx(const fs::path& path) {
  const std::unique_ptr<InputFile> input = open_input_file(path);
  const auto header = read_header(*input, path);
  if (!header) {
    throw InputError(path.string() +
                     " does not begin with the magic number of an IDX file (00 00, an element type of " +
                     "08 to 0E, 01 to 08 dimensions)");
  }
  const auto bytes = static_cast<std::size_t>(header->bytes());
  return {.header = *header,
          .bytes = read_rest(*input, bytes,
                             "its header says " + header->dimensions_text() + " elements, which end at byte " +
                                 std::to_string(input->offset() + bytes))};
}

}  // namespace lockstep

// The IDX file format: one array of numbers.
//
// Source: Yann LeCun, "The MNIST database", section "File formats": two zero bytes, the element type (0x08
// unsigned byte, 0x09 signed byte, 0x0B int16, 0x0C int32, 0x0D float, 0x0E double), the number of
// dimensions, each dimension as a big-endian 32-bit integer, then the elements, big-endian, last dimension
// fastest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/ElementType.h"

namespace lockstep {

enum class IdxType : std::uint8_t {
  kByte = 0x08,
  kSignedByte = 0x09,
  kInt16 = 0x0B,
  kInt32 = 0x0C,
  kFloat = 0x0D,
  kDouble = 0x0E,
};

struct IdxHeader {
  IdxType type = IdxType::kByte;
  std::vector<std::int64_t> dimensions;  ///< 1 to 8
  ElementType element_type() const;
  std::int64_t elements() const;
  std::uint64_t size() const { return 4 + 4 * dimensions.size(); }  ///< of the header, in bytes
  std::int64_t bytes() const;                                       ///< of the elements: below 2^48
  std::string dimensions_text() const;                              ///< "60000 × 28 × 28"
};

/// One array in memory, with its elements as they are in the file: no larger than there.
struct IdxArray {
  IdxHeader header;
  std::vector<std::uint8_t> bytes;
};

/// Whether a file that begins with these bytes has an IDX magic number.
bool begins_idx(std::span<const std::uint8_t> bytes);

/// The header of an IDX file, or nothing when the file does not begin with an IDX magic number. InputError
/// for a file that cannot be read, and for one that begins with a magic number but whose header is truncated
/// or impossible.
std::optional<IdxHeader> read_idx_header(const std::filesystem::path& path);

/// The whole array. InputError, naming the file and offset, also for a file that is no IDX file, is
/// truncated, has bytes after its elements or is packed and not intact. Touches no more
/// memory than the file fills, whatever its header says.
IdxArray read_idx(const std::filesystem::path& path);

}  // namespace lockstep

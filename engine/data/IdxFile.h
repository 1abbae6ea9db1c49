// The IDX file format, plain or gzip: one array of numbers.
//
// Source: Yann LeCun, "The MNIST database", section "File formats": two zero bytes, the element type (0x08 unsigned byte, 0x0B
// int16, 0x0C int32, 0x0D float, 0x0E double), the number of dimensions, each dimension as a big-endian 32-bit integer, then
// the elements, big-endian, last dimension fastest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

enum class IdxType { kByte = 0x08, kInt32 = 0x0C, kFloat = 0x0D, kDouble = 0x0E };

struct IdxHeader {
  IdxType type = IdxType::kByte;
  std::vector<std::int64_t> dimensions;
  std::int64_t elements() const;
  std::int64_t bytes() const;  ///< of the elements
};

/// One array in memory: bytes as they are, everything else as float64.
struct IdxArray {
  IdxHeader header;
  std::vector<std::uint8_t> bytes;  ///< type byte
  std::vector<double> numbers;      ///< other types
};

/// The header of an IDX file, or nothing when the file does not begin with an IDX magic number. InputError for a file that does
/// but whose header is truncated or impossible.
std::optional<IdxHeader> read_idx_header(const std::filesystem::path& path);

/// The whole array. InputError, naming the file and offset, for a file that is truncated, has bytes after its elements, or is
/// not an intact gzip file. Nothing is allocated that the file does not fill.
IdxArray read_idx(const std::filesystem::path& path);

}  // namespace lockstep

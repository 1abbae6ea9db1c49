// CRC-32C (Castagnoli): polynomial 0x1EDC6F41, reflected 0x82F63B78, as RFC 3720 (section 12.1) defines it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lockstep {

/// The checksum of bytes that follow those whose checksum is `previous`. Uses the processor's instruction where it has
/// one.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t previous = 0);

/// The checksum of bytes with others behind them, of whose checksum and number alone it is made.
std::uint32_t crc32c_joined(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes);

/// The checksum as TensorFlow's records have it, whose data may hold checksums itself: turned by 15 bits, plus a
/// constant.
inline std::uint32_t masked_crc32c(std::span<const std::byte> bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15U) | (crc << 17U)) + 0xa282ead8U;
}

}  // namespace lockstep

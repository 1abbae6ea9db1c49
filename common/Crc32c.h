// CRC-32C (Castagnoli): polynomial 0x1EDC6F41, reflected 0x82F63B78, as RFC 3720 (section 12.1) defines it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lockstep {

/// The checksum of bytes that follow those whose checksum is `previous`. Uses the processor's instruction where it has
/// one.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t previous = 0);

}  // namespace lockstep

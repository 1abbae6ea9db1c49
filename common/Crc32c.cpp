#include "common/Crc32c.h"

#include <array>
#include <cstring>

namespace lockstep {

namespace {

constexpr std::array<std::uint32_t, 256> kTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78 : 0);
    table[i] = crc;
  }
  return table;
}();

std::uint32_t update_portably(std::uint32_t state, std::span<const std::byte> bytes) {
  for (const std::byte byte : bytes)
    state = kTable[(state ^ std::to_integer<std::uint32_t>(byte)) & 0xFF] ^ (state >> 8);
  return state;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) std::uint32_t update_by_instruction(std::uint32_t state,
                                                                      std::span<const std::byte> bytes) {
  std::uint64_t wide = state;
  for (; bytes.size() >= sizeof wide; bytes = bytes.subspan(sizeof wide)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  return update_portably(static_cast<std::uint32_t>(wide), bytes);
}
#endif

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t previous) {
#ifdef __x86_64__
  if (__builtin_cpu_supports("sse4.2")) return ~update_by_instruction(~previous, bytes);
#endif
  return ~update_portably(~previous, bytes);
}

}  // namespace lockstep

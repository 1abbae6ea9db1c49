#include "common/Crc32c.h"

#include <array>
#include <cstring>

namespace lockstep {

namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // reflected: the highest bit is of x⁰

constexpr std::array<std::uint32_t, 256> kTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    table[i] = crc;
  }
  return table;
}();

std::uint32_t update_portably(std::uint32_t state, std::span<const std::byte> bytes) {
  for (const std::byte byte : bytes)
    state = kTable[(state ^ std::to_integer<std::uint32_t>(byte)) & 0xFF] ^ (state >> 8);
  return state;
}

// Modulo the polynomial.
constexpr std::uint32_t product(std::uint32_t a, std::uint32_t b) {
  std::uint32_t sum = 0;
  for (std::uint32_t bit = 0x80000000; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) sum ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? kPolynomial : 0);
  }
  return sum;
}

// What a state becomes a multiple of when so many zeros follow: x to the power of their bits.
constexpr std::uint32_t past_zeros(std::uint64_t bytes) {
  std::uint32_t power = 0x80000000;   // 1
  std::uint32_t square = 0x00800000;  // x⁸
  for (; bytes != 0; bytes >>= 1) {
    if ((bytes & 1) != 0) power = product(power, square);
    square = product(square, square);
  }
  return power;
}

#ifdef __x86_64__
constexpr std::size_t kLaneBytes = 8192;
constexpr std::uint32_t kPastLane = past_zeros(kLaneBytes);

std::uint64_t word_at(const std::byte* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// An instruction waits for the one before on its lane: three lanes keep the processor busy.
__attribute__((target("sse4.2"))) std::uint32_t update_by_instruction(std::uint32_t state,
                                                                      std::span<const std::byte> bytes) {
  for (; bytes.size() >= 3 * kLaneBytes; bytes = bytes.subspan(3 * kLaneBytes)) {
    const std::byte* const lanes = bytes.data();
    std::uint64_t first = state;
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < kLaneBytes; i += sizeof(std::uint64_t)) {
      first = __builtin_ia32_crc32di(first, word_at(lanes + i));
      second = __builtin_ia32_crc32di(second, word_at(lanes + kLaneBytes + i));
      third = __builtin_ia32_crc32di(third, word_at(lanes + 2 * kLaneBytes + i));
    }
    const std::uint32_t two =
        product(kPastLane, static_cast<std::uint32_t>(first)) ^ static_cast<std::uint32_t>(second);
    state = product(kPastLane, two) ^ static_cast<std::uint32_t>(third);
  }
  std::uint64_t wide = state;
  for (; bytes.size() >= sizeof wide; bytes = bytes.subspan(sizeof wide)) {
    wide = __builtin_ia32_crc32di(wide, word_at(bytes.data()));
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

// The states' inversions cancel out.
std::uint32_t crc32c_joined(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes) {
  return product(past_zeros(second_bytes), first) ^ second;
}

}  // namespace lockstep

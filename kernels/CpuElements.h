// Element types in CPU code: conversions that vectorise, and loops compiled for several generations of x86-64.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "kernels/ElementTypes.h"

// One function compiled for three generations of x86-64, chosen when the program starts. An OpenMP region
// does not inherit this, so the region calls a function that has it. Not with ThreadSanitizer: the choice
// would run before its runtime is there.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define LOCKSTEP_MULTIVERSION __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LOCKSTEP_MULTIVERSION
#endif

#define LOCKSTEP_INLINE [[gnu::always_inline]] inline

namespace lockstep::kernels {

/// Work on fewer elements is done by the calling thread: waking the others takes about as long.
inline constexpr std::int64_t kSerialElements = 16384;

LOCKSTEP_INLINE float to_arithmetic(float value) { return value; }
LOCKSTEP_INLINE double to_arithmetic(double value) { return value; }
LOCKSTEP_INLINE float to_arithmetic(BFloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16U);
}
LOCKSTEP_INLINE float to_arithmetic(Half value) { return std::bit_cast<_Float16>(value.bits); }

/// Rounds to nearest, ties to even.
template <typename Element>
LOCKSTEP_INLINE Element from_arithmetic(Arithmetic<Element> value) {
  return value;
}
template <>
LOCKSTEP_INLINE BFloat16 from_arithmetic<BFloat16>(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U;
  return {static_cast<std::uint16_t>(value != value ? (bits >> 16U) | 0x40U : rounded)};
}
template <>
LOCKSTEP_INLINE Half from_arithmetic<Half>(float value) {
  return {std::bit_cast<std::uint16_t>(static_cast<_Float16>(value))};
}

}  // namespace lockstep::kernels

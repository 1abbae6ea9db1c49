// A mixing function: nearby inputs, far outputs.
#pragma once

#include <cstdint>

namespace lockstep {

/// The step and finalizer of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"):
/// a permutation of 64-bit values in which every input bit changes every output bit half of the time.
constexpr std::uint64_t splitmix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace lockstep

// Sums without rounding: whatever the order of the numbers, and however they are spread over threads and ranks.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep {

/// The exact sum of numbers, and of their squares: a fixed-point number wide enough for any float64, as Kulisch and
/// Miranker 1986, "The arithmetic of the digital computer", have it. Add finite numbers, `merge` what others have
/// added, then ask.
class ExactMoments {
 public:
  void add(double value);
  /// The same as `times` calls.
  void add(double value, std::int64_t times);
  void merge(const ExactMoments& other);

  std::int64_t count() const { return count_; }
  /// 0 of no numbers. Of what is exact, the sum is rounded once, and the quotient once.
  double mean() const;
  /// The population's: the root of the mean square of what the numbers differ from their mean. 0 when all are equal.
  double deviation() const;

  /// For another rank.
  std::string bytes() const;
  static ExactMoments from_bytes(std::string_view bytes);
  static constexpr std::size_t kSumLimbs = 72;      // of 32 bits, from 2^-1074 on; 2^1024 · 2^63 fits
  static constexpr std::size_t kSquareLimbs = 144;  // from 2^-2148 on
  static constexpr std::size_t kBytes = (kSumLimbs + kSquareLimbs + 1) * sizeof(std::int64_t);

 private:
  void settle();

  // Each limb is worth 2^32 times the one before. Limbs may hold more than 32 bits, and be negative, until `settle`.
  std::array<std::int64_t, kSumLimbs> sum_{};
  std::array<std::int64_t, kSquareLimbs> squares_{};
  std::int64_t count_ = 0;
  std::int64_t unsettled_ = 0;  ///< additions since limbs were settled
};

}  // namespace lockstep

// Chance that follows from where training stands.
#pragma once

#include <cstdint>

#include "common/SplitMix.h"

namespace lockstep {

/// What random variations of samples follow from, beside the sample itself: not from ranks, threads or batches.
struct Draw {
  std::uint64_t seed = 0;
  std::int64_t epoch = 0;
};

/// What chance has for one use of a sample: SplitMix64's numbers (common/SplitMix.h) of a state that is mixed from
/// (seed, epoch, sample, use). They are part of what a checkpoint relies on: changing them breaks resuming.
class SampleChance {
 public:
  enum class Use : std::uint64_t { kCrop = 1, kFlip = 2, kShift = 3, kJitter = 4 };

  SampleChance(const Draw& draw, std::int64_t sample, Use use)
      : state_(splitmix(splitmix(splitmix(splitmix(draw.seed) ^ static_cast<std::uint64_t>(draw.epoch)) ^
                                 static_cast<std::uint64_t>(sample)) ^
                        static_cast<std::uint64_t>(use))) {}

  /// 0 ≤ number < 1, a multiple of 2^-53.
  double uniform() { return static_cast<double>(next() >> 11U) * 0x1p-53; }
  double between(double least, double most) { return least + (most - least) * uniform(); }
  /// 0 … count - 1; count ≤ 2^32.
  std::int64_t below(std::int64_t count) {
    return static_cast<std::int64_t>((next() >> 32U) * static_cast<std::uint64_t>(count) >> 32U);
  }

 private:
  std::uint64_t next() {
    const std::uint64_t number = splitmix(state_);
    state_ += 0x9e3779b97f4a7c15;
    return number;
  }

  std::uint64_t state_;
};

}  // namespace lockstep

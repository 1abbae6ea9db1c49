// The order in which an epoch visits the samples.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/data/Shards.h"

namespace lockstep {

/// A permutation of 0 … size-1 that is a pure function of (seed, epoch, position): no table, no state, the
/// same for any number of ranks, and any position can be asked for on its own.
///
/// A balanced Feistel network of six rounds over the smallest even number of bits that holds the size,
/// restricted to the range by cycle walking: a result outside is permuted again until it falls inside (Black
/// and Rogaway 2002, "Ciphers with Arbitrary Finite Domains"). The round function is SplitMix64's (Steele,
/// Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators"). Less than four walks on average.
/// The order is part of what a checkpoint relies on: changing it breaks resuming.
class Order {
 public:
  /// shuffle false: samples in their own order, in every epoch. InternalError for a size beyond 0 … 2^40.
  Order(std::uint64_t seed, std::int64_t size, bool shuffle);

  /// The sample at `position` (0 … size-1) of the epoch.
  std::int64_t operator()(std::int64_t epoch, std::int64_t position) const;
  /// Those at the positions of `slice`, one after the other, several at a time: in a third of the time that one by one
  /// takes.
  std::vector<std::int64_t> samples(std::int64_t epoch, const Slice& slice) const;

 private:
  std::uint64_t seed_;
  std::uint64_t size_;
  int half_bits_;
  bool shuffle_;
};

}  // namespace lockstep

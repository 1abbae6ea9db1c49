// Samples made up from a seed, for trying a program out and for measuring its speed.
#pragma once

#include <string>
#include <vector>

#include "engine/data/Dataset.h"

namespace lockstep {

/// Samples of any shape, each a pure function of (seed, sample). There is nothing to learn from them, but by heart.
///
/// Every sample is a window of one endless row of random words, so that reading copies and costs no random numbers:
///
///   values = splitmix(seed)
///   starts = splitmix(values)
///   word k = splitmix(values + k mod 2^20)                            of the row
///   start  = splitmix(starts + 2·sample), of the targets + 1          where in the row the sample's window begins
///
/// in arithmetic modulo 2^64. A token or label is word mod vocabulary or classes. A real number, of mean 0 and
/// variance 1 and nearly normal (Irwin and Hall), is (the sum of the word's four 16-bit parts - 131070) ÷
/// √((2^32 - 1) / 3), in double, then rounded to float. Holds 8 MiB of real numbers when it has any.
class SyntheticDataset : public Dataset {
 public:
  SyntheticDataset(SampleShape shape, std::int64_t size, std::uint64_t seed);

  std::int64_t size() const override { return size_; }
  const SampleShape& shape() const override { return shape_; }
  std::string digest() const override;
  void require_classes(std::int64_t classes, const std::string& reason) const override;
  void read(std::span<const std::int64_t> samples, Precision precision, void* inputs, void* targets) const override;

 private:
  /// Writes the windows of `samples`, `length` numbers each: below `bound`, or real ones when it is 0.
  void read_windows(std::span<const std::int64_t> samples, bool targets, std::int64_t length, std::int64_t bound,
                    Precision precision, void* out) const;

  SampleShape shape_;
  std::int64_t size_;
  std::uint64_t seed_;
  std::uint64_t values_;
  std::uint64_t starts_;
  std::int64_t input_length_;   ///< numbers of one sample
  std::int64_t target_length_;  ///< numbers of one sample
  std::vector<double> reals_;   ///< the row as real numbers
};

}  // namespace lockstep

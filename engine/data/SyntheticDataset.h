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
///   start  = splitmix(starts + 2·sample), of the last field + 1       where in the row the sample's window begins
///            splitmix(splitmix(starts + 2·sample) + i)                of any other field i but the first
///
/// in arithmetic modulo 2^64. An integer or bool is word mod the field's bound. A real number, of mean 0 and
/// variance 1 and nearly normal (Irwin and Hall), is (the sum of the word's four 16-bit parts - 131070) ÷
/// √((2^32 - 1) / 3), in double, then rounded to float. Holds 8 MiB of real numbers when it has any.
class SyntheticDataset : public Dataset {
 public:
  /// `spec`: inputs and, last, the targets; of float32, float64, int64, int32 and bool, of which all but real numbers
  /// have a bound. InternalError for other fields.
  SyntheticDataset(SampleSpec spec, std::int64_t size, std::uint64_t seed);

  std::int64_t size() const override { return size_; }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override;
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override;

 private:
  /// Where in the row the window of a sample begins.
  std::uint64_t start_of(std::size_t field, std::int64_t sample) const;
  void read_field(std::size_t field, std::span<const std::int64_t> samples, std::byte* out) const;

  SampleSpec spec_;
  std::int64_t size_;
  std::uint64_t seed_;
  std::uint64_t values_;
  std::uint64_t starts_;
  std::vector<double> reals_;  ///< the row as real numbers
};

}  // namespace lockstep

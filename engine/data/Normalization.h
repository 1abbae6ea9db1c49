// What is subtracted from numbers, and what they are divided by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lockstep {

/// How raw values become inputs: (raw / 255 - mean) / std for bytes, (raw - mean) / std for other numbers. There is one
/// mean for all numbers of a sample, or one for each of as many equal parts of it, which are its columns or channels,
/// one after another; as many deviations.
struct Normalization {
  std::vector<double> mean = {0};
  std::vector<double> std = {1};
  std::int64_t part = 1;  ///< numbers of each part, where there are several

  std::size_t parts() const { return mean.size(); }
  /// Whether it leaves numbers that are no bytes as they are.
  bool changes_nothing() const;
  bool operator==(const Normalization&) const = default;
};

}  // namespace lockstep

// What is computed over the samples of a field before training.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/Dataset.h"
#include "engine/data/fields/ExactMoments.h"

namespace lockstep {

/// What is to be found out of a field, beside its least and largest numbers.
struct StatisticsRequest {
  std::size_t field = 0;
  bool moments = false;          ///< means and deviations
  bool values = false;           ///< which integers there are, and how many of each
  bool may_lack = false;         ///< NaN stands for a value that is missing, and does not count
  bool may_be_infinite = false;  ///< infinities do not count
  bool operator==(const StatisticsRequest&) const = default;
};

/// The statistics of one field, in parts: of each of the numbers in a row of them, of each channel of [channels, rows,
/// columns], else of all numbers together. Bytes count as byte / 255 where numbers do. The result is the same in
/// whatever order samples are shown and parts merged.
class ColumnStatistics {
 public:
  static constexpr std::int64_t kMostParts = 1024;   ///< with means of their own
  static constexpr std::size_t kMostValues = 65536;  ///< different integers

  struct Part {
    double least = std::numeric_limits<double>::infinity();
    double most = -std::numeric_limits<double>::infinity();
    std::int64_t missing = 0;
    std::int64_t infinite = 0;
  };

  /// Throws InputError, naming the field, for more than kMostParts of which means are asked for, and when integers are
  /// asked for of a field of real numbers.
  ColumnStatistics(const Field& field, const StatisticsRequest& request);

  /// Numbers of samples, as they are stored. Throws BadNumber.
  void look_at(const std::byte* stored, std::int64_t samples);
  void merge(const ColumnStatistics& other);
  /// Of the other's, only which integers there are.
  void merge_values(const ColumnStatistics& other);

  const std::vector<Part>& parts() const { return parts_; }
  /// Where they were asked for.
  const ExactMoments& moments(std::size_t part) const { return moments_.at(part); }
  std::int64_t part_numbers() const { return part_numbers_; }
  /// The integers that there are, in order, and how many of each.
  const std::map<std::int64_t, std::int64_t>& values() const { return values_; }

  /// For another rank, of the same field and request.
  std::string bytes() const;
  void merge_bytes(std::string_view bytes);

  /// A number that has no place in statistics, at the `sample`-th of those that were shown.
  struct BadNumber {
    std::int64_t sample;
    double value;
  };

 private:
  void look_at_bytes(const std::uint8_t* stored, std::int64_t samples);
  void look_at_reals(const double* numbers, std::int64_t samples);
  void add_value(std::int64_t value, std::int64_t count);

  Field field_;
  StatisticsRequest request_;
  std::int64_t part_numbers_;  ///< of a sample
  std::vector<Part> parts_;
  std::vector<ExactMoments> moments_{};  ///< by part, or none
  std::map<std::int64_t, std::int64_t> values_{};
};

/// Of the samples `slice` of a data set, by so many threads. Throws InputError, saying where, for a number that is not
/// finite, and for what cannot be read.
std::vector<ColumnStatistics> compute_statistics(const Dataset& dataset, const std::vector<StatisticsRequest>& requests,
                                                 const Slice& slice, std::int64_t threads);

}  // namespace lockstep

// What the samples of a data set are made of.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/ElementType.h"
#include "engine/data/Normalization.h"
#include "job/FieldDescription.h"

namespace lockstep {

/// The product of sizes: how many numbers a sample has.
inline std::int64_t count_of(const std::vector<std::int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

/// More bytes than any array has: a header that says so is damaged.
inline constexpr std::int64_t kMostArrayBytes = std::int64_t{1} << 48;

/// Why nothing can be made of a column. That ends a job that takes it, and no other.
struct ColumnFault {
  std::string why{};     ///< for whoever takes it: "a.csv, line 7: column age has no value; …"
  std::string what{};    ///< in short: "no value in 3 rows", "date32[day]"
  bool numbers = false;  ///< they would be numbers
};

/// One named array of numbers that every sample of a data set has.
struct Field {
  std::string name{};
  ElementType type = ElementType::kFloat;  ///< as stored
  std::vector<std::int64_t> sizes{};  ///< of one sample, without the batch dimension: {1, 28, 28}; {} for one number
  std::int64_t bound = 0;             ///< integers are 0 … bound - 1; 0: that is not known
  /// Too many numbers to be looked at before training begins: they are checked as they are read.
  bool large = false;
  std::vector<std::string> categories{};  ///< what the integers stand for; none: numbers
  std::string origin{};                   ///< where it lies, for messages: a path, or a path and a member
  bool absent = false;                    ///< no sample speaks of it: the column is not there, but on other hosts maybe
  /// What was said of it (FieldDescriptions), or how all its columns together are normalized. Nothing: of a field as
  /// it is stored, which is normalized as the job says of all.
  std::optional<Normalization> normalization{};
  /// How it was read. Where a value may be missing, numbers are float64 and NaN stands for it.
  ColumnReading reading{};
  /// Where there is one, its numbers mean nothing, and `Dataset::read` need not write them.
  std::optional<ColumnFault> fault{};
  bool row_index = false;  ///< it numbers or names the rows, as pandas' index does: for whoever asks for it by name

  /// What is known of its numbers is forgotten: those of all columns with a fault are alike.
  void refuse(ColumnFault why) {
    fault = std::move(why);
    type = ElementType::kInt64;
    sizes.clear();
    bound = 0;
    categories.clear();
  }
  std::int64_t numbers() const { return count_of(sizes); }                                   ///< of one sample
  std::size_t bytes() const { return static_cast<std::size_t>(numbers()) * size_of(type); }  ///< of one sample
};

/// The fields of a data set, each name once.
struct SampleSpec {
  std::vector<Field> fields;

  std::optional<std::size_t> find(std::string_view name) const {
    const auto found = std::ranges::find(fields, name, &Field::name);
    return found == fields.end() ? std::nullopt : std::optional(static_cast<std::size_t>(found - fields.begin()));
  }
};

}  // namespace lockstep

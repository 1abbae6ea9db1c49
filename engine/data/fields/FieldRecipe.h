// How described fields are made of the fields of a data set.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/Field.h"
#include "engine/data/fields/ColumnStatistics.h"
#include "job/FieldDescription.h"

namespace lockstep {

/// One described field, with all that was computed for it. A value: hosts that have the same data have the same.
struct FieldRecipe {
  /// What one column of the data becomes.
  struct Piece {
    Field stored{};                                 ///< the column, as the training channel has it
    std::size_t source = 0;                         ///< which field of the data set it is
    std::optional<double> fill{};                   ///< in place of NaN
    bool real = false;                              ///< its numbers are real when all is done
    bool whole = false;                             ///< real numbers that must be integers
    std::map<std::int64_t, std::int64_t> labels{};  ///< of integers; empty: they stay
    std::vector<std::string> names{};               ///< what the numbers 0, 1, … stand for, where that is known
    bool found = false;                             ///< labels are all that the training channel has
    std::int64_t one_hot = 0;                       ///< numbers that each becomes; 0: it stays one
    std::int64_t numbers = 0;                       ///< of a sample, when all is done
    Normalization normalization{};                  ///< of its numbers alone
  };

  Field field{};
  bool as_stored = false;  ///< its one piece is what the data set has
  std::vector<Piece> pieces{};

  /// Whether there may be samples that cannot become it (FieldsDataset::read), in the training channel or another.
  bool may_refuse(bool training) const;
};

/// What has to be known of a training channel's samples to make these fields of it, by the data set's fields, each
/// once. Throws InputError when a column is not there.
std::vector<StatisticsRequest> statistics_requests(const FieldDescriptions& fields, const SampleSpec& spec);

/// In the order of the fields' names. `statistics`: what was asked for, over all samples that are trained on. Throws
/// InputError, naming field and column, when a column does not hold what its description is for, or no value at all.
std::vector<FieldRecipe> make_recipes(const FieldDescriptions& fields, const SampleSpec& spec,
                                      const std::vector<StatisticsRequest>& requests,
                                      const std::vector<ColumnStatistics>& statistics);

/// All of the recipes as JSON, for whoever has to do the same with a model's inputs: docs/data.md says how it reads.
std::string write_recipes(const std::vector<FieldRecipe>& recipes);

}  // namespace lockstep

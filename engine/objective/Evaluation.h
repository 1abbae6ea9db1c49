// How good a state is.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/objective/Metric.h"

namespace lockstep {

/// What was measured of a state on a data set: values, and tables, by the names of metrics, in the order in which they
/// are shown. Where no position of the data set counts, values are NaN.
class Evaluation {
 public:
  using Values = std::vector<std::pair<std::string, double>>;
  using Tables = std::vector<std::pair<std::string, Table>>;
  using Notes = std::vector<std::pair<std::string, std::string>>;

  explicit Evaluation(Values values = {}, bool weightless = false, Tables tables = {}, Notes notes = {})
      : values_(std::move(values)), tables_(std::move(tables)), notes_(std::move(notes)), weightless_(weightless) {}

  const Values& values() const { return values_; }
  const Tables& tables() const { return tables_; }
  const Notes& notes() const { return notes_; }    ///< what should be known of values: Measurement::note
  bool weightless() const { return weightless_; }  ///< no position counts
  /// InputError, with what there is, when it was not measured.
  double metric(const std::string& name) const;
  /// Under names such as `test_accuracy`.
  Values metrics(const std::string& channel) const;
  Tables tables(const std::string& channel) const;

 private:
  Values values_;
  Tables tables_;
  Notes notes_;
  bool weightless_;
};

}  // namespace lockstep

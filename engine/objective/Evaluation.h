// How good a state is.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lockstep {

/// What was measured of a state on a data set: values by the names of metrics, in the order in which they are shown.
/// Where no position of the data set counts, they are NaN.
class Evaluation {
 public:
  using Values = std::vector<std::pair<std::string, double>>;

  explicit Evaluation(Values values = {}, bool weightless = false)
      : values_(std::move(values)), weightless_(weightless) {}

  const Values& values() const { return values_; }
  bool weightless() const { return weightless_; }  ///< no position counts
  /// InputError, with what there is, when it was not measured.
  double metric(const std::string& name) const;
  /// Under names such as `test_accuracy`.
  Values metrics(const std::string& channel) const;

 private:
  Values values_;
  bool weightless_;
};

}  // namespace lockstep

// What evaluation counts.
#pragma once

#include <ATen/core/Tensor.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "engine/objective/MeasuredBatch.h"

namespace lockstep {

using Table = std::vector<std::vector<double>>;  ///< rows of numbers

/// What a metric comes to: a number, or a table (Metric::table).
struct Measurement {
  double value = std::numeric_limits<double>::quiet_NaN();
  Table table{};
  std::string note{};  ///< what whoever reads the number should know: why it is none; "" for nothing
};

/// Counts something over the positions of a data set, which adds up over batches and ranks, and says what it comes to.
/// Holds no state: whoever measures keeps the counts, which are tensors of two dimensions in float64.
class Metric {
 public:
  virtual ~Metric() = default;

  /// Whether it compares an output with targets: where the program computes its loss there are none.
  virtual bool takes_targets() const { return true; }
  /// Why it cannot be measured of a batch like this: "needs class labels"; "" when it can.
  virtual std::string unfit(const MeasuredBatch& batch) const = 0;
  /// What a batch counts.
  virtual at::Tensor counts(const MeasuredBatch& batch) const = 0;
  /// The counts of several batches as those of all of them; on any device, in the batches' order. Here their sum.
  virtual at::Tensor merged(const std::vector<at::Tensor>& counts) const;
  /// Whether `counts` has rows for each sample, which `merged` keeps: the memory of a data set.
  virtual bool keeps_rows() const { return false; }
  /// Whether it is a table, which cannot be monitored.
  virtual bool table() const { return false; }
  /// From the counts of all batches of all ranks, on the host, and the weight of all their positions.
  virtual Measurement result(const at::Tensor& counts, double weight) const = 0;
};

/// Numbers of no dimensions as counts.
at::Tensor counts_of(const std::vector<at::Tensor>& numbers);

}  // namespace lockstep

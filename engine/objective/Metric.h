// What evaluation counts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "engine/objective/Loss.h"
#include "engine/objective/MeasuredBatch.h"

namespace lockstep {

/// Sums over the positions of a data set, which add up over batches and ranks, and what they come to. Holds no state:
/// Evaluator keeps the sums, in float64.
class Metric {
 public:
  virtual ~Metric() = default;

  /// Why it cannot be measured in a job of this loss and for such an output: "needs class labels"; "" when it can.
  virtual std::string unfit(const Loss& loss, const at::Tensor& output) const = 0;
  virtual std::size_t sum_count() const { return 1; }
  /// What a batch adds to each of its sums: tensors of no dimensions.
  virtual std::vector<at::Tensor> sums(const MeasuredBatch& batch) const = 0;
  /// From the sums over all batches of all ranks, and the weight of all their positions; all of them divided by the
  /// number of positions of a sample.
  virtual double result(std::span<const double> sums, double weight) const = 0;
};

}  // namespace lockstep

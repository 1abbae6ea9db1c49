// A batch after it has run through the program, as metrics see it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

#include "engine/objective/Loss.h"

namespace lockstep {

/// Holds what the program returned for a batch beside what was wanted, position by position, and the loss of it.
class MeasuredBatch {
 public:
  /// `sample_weights`: undefined where the data has none. Throws as Loss::terms does.
  MeasuredBatch(const Loss& loss, const at::Tensor& output, const at::Tensor& targets, const at::Tensor& sample_weights)
      : loss_(loss.terms(output, targets, sample_weights)),
        compared_(loss.compared(output, targets, sample_weights)),
        binary_(loss.binary()),
        positions_(loss.positions(output)) {}
  /// Of a loss of all outputs (Loss::terms_of_all), which are compared with nothing.
  MeasuredBatch(LossTerms loss, const at::Tensor& output)
      : loss_(std::move(loss)), compared_{.output = output, .targets = {}}, binary_(false), positions_(1) {}

  /// As Compared has them.
  const at::Tensor& output() const { return compared_.output; }
  const at::Tensor& targets() const { return compared_.targets; }
  const LossTerms& loss() const { return loss_; }
  /// Targets are class labels, and outputs a score for each class.
  bool class_labels() const { return targets().scalar_type() == at::kLong; }
  /// Outputs are logits of yes or no, and targets numbers from 0 to 1.
  bool binary() const { return binary_; }
  /// Of a sample.
  std::int64_t positions() const { return positions_; }
  /// Of each position, in float64 and in the sizes of the targets.
  at::Tensor weights() const;
  /// Σ weight · value over the positions: `values`, numbers or booleans, are one for each position.
  at::Tensor weighted_sum(const at::Tensor& values) const;

 private:
  LossTerms loss_;
  Compared compared_;
  bool binary_;
  std::int64_t positions_;
};

}  // namespace lockstep

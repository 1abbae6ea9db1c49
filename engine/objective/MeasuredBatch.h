// A batch after it has run through the program, as metrics see it.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "engine/objective/Loss.h"

namespace lockstep {

/// Holds what the program returned for a batch beside what was wanted, and the loss of it.
class MeasuredBatch {
 public:
  /// `loss` must outlive it. `sample_weights`: undefined where the data has none. Throws as Loss::terms does.
  MeasuredBatch(const Loss& loss, at::Tensor output, at::Tensor targets, at::Tensor sample_weights)
      : kind_(loss),
        output_(std::move(output)),
        targets_(std::move(targets)),
        sample_weights_(std::move(sample_weights)),
        loss_(loss.terms(output_, targets_, sample_weights_)) {}

  const at::Tensor& output() const { return output_; }
  const at::Tensor& targets() const { return targets_; }
  const LossTerms& loss() const { return loss_; }
  /// Σ weight · value over the positions: `values`, numbers or booleans, are one for each position.
  at::Tensor weighted_sum(const at::Tensor& values) const;

 private:
  const Loss& kind_;
  at::Tensor output_;
  at::Tensor targets_;
  at::Tensor sample_weights_;
  LossTerms loss_;
};

}  // namespace lockstep

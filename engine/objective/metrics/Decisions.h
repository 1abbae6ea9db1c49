// What outputs say, as classes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "engine/objective/MeasuredBatch.h"

namespace lockstep {

/// What was decided at each position, and what is right. Yes or no are the classes 1 and 0: a logit above 0 is a yes,
/// and so is a target of at least 1/2.
struct Decisions {
  at::Tensor predicted;  ///< [positions], int64
  at::Tensor truth;      ///< [positions], int64
  at::Tensor weights;    ///< [positions], float64; 0 where nothing counts
  std::int64_t classes = 0;
};

/// Why there are none: "needs class labels, or yes or no"; "" when there are.
std::string unfit_for_decisions(const MeasuredBatch& batch);
/// Whether a sample has several answers of yes or no, [batch, labels], none of which excludes another.
bool several_labels(const MeasuredBatch& batch);
Decisions decisions(const MeasuredBatch& batch);
/// Σ of the weights at each of 0 … count - 1, in one order on any device: [count], float64.
at::Tensor weights_by(const at::Tensor& index, const at::Tensor& weights, std::int64_t count);

}  // namespace lockstep

// The loss of classification.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/objective/Loss.h"

namespace lockstep {

struct CrossEntropyOptions {
  double label_smoothing = 0;           ///< from 0 to 1
  std::int64_t ignore_index = -100;     ///< a position with this label weighs 0
  std::vector<double> class_weights{};  ///< what a position weighs, by its label; empty: 1
};

/// torch.nn.CrossEntropyLoss (PyTorch 2.11) of logits [batch, …, classes] and a label for each position [batch, …].
/// With class weights w, sample weights s and the loss l of a position: Σ s·w·l / Σ s·w, where ignored positions do not
/// count. With label smoothing l is PyTorch's: smoothing is over the weighted classes, and the mean divides by the
/// weights of the labels alone.
///
/// Targets that are real numbers [batch, …, classes] are soft: the share of each class. Then class weights weigh the
/// classes within l, and a position weighs s, as in PyTorch; metrics take the largest class as the label.
///
/// `device`: of the outputs. Throws c10::IndexError for a label that is no class and not ignored; on a GPU the loss is
/// NaN then.
std::shared_ptr<const Loss> make_cross_entropy(const CrossEntropyOptions& options, const c10::Device& device);

}  // namespace lockstep

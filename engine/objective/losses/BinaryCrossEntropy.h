// The loss of questions that are answered by yes or no, one or several a sample.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/objective/Loss.h"

namespace lockstep {

struct BinaryCrossEntropyOptions {
  std::vector<double> positive_weights{};  ///< what a yes counts beside a no: one for all, or one a label; empty: 1
  std::int64_t ignore_index = -100;        ///< a target of this value weighs 0
};

/// torch.nn.BCEWithLogitsLoss (PyTorch 2.11) as an ElementwiseLoss: outputs are logits, and targets numbers from 0 (no)
/// to 1 (yes), of one label a sample, of several [batch, labels], or of the pixels of a mask. As in PyTorch the mean
/// divides by how many targets there are, whatever `positive_weights` say. `device`: of the outputs. Throws InputError
/// for other targets; on a GPU the loss is NaN then.
std::shared_ptr<const Loss> make_binary_cross_entropy(const BinaryCrossEntropyOptions& options,
                                                      const c10::Device& device);

}  // namespace lockstep

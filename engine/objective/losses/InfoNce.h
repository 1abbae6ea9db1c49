// The loss of pairs among all others.
#pragma once

#include <memory>

#include "engine/objective/Loss.h"

namespace lockstep {

/// InfoNCE (van den Oord et al. 2018, https://arxiv.org/abs/1807.03748) with the other samples of the global batch as
/// negatives. Outputs are [batch, 2, width]: a sample's two vectors, a and b. With the similarities
/// s(i, j) = aᵢ · bⱼ ÷ `temperature`, which is above 0, a sample's value is the cross-entropy of its row with itself as
/// the label, log Σⱼ exp s(i, j) - s(i, i). Takes no targets and no weights. N samples of all ranks take N² numbers in
/// each rank's memory.
std::shared_ptr<const Loss> make_info_nce(double temperature);
/// The mean of this and of the same of its column, as in CLIP (Radford et al. 2021, https://arxiv.org/abs/2103.00020).
std::shared_ptr<const Loss> make_symmetric_info_nce(double temperature);

}  // namespace lockstep

// The loss of pairs.
#pragma once

#include <memory>

#include "engine/objective/Loss.h"

namespace lockstep {

/// torch.nn.CosineEmbeddingLoss (PyTorch 2.11) as an ElementwiseLoss: outputs are [batch, 2, width], two vectors a
/// sample, and its target says whether they belong together: 1, or -1 or 0. With their cosine c, a value is 1 - c for
/// those that do, else max(0, c - margin). Metrics see the cosine.
std::shared_ptr<const Loss> make_cosine_embedding(double margin);

}  // namespace lockstep

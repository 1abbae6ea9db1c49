// How often the right class is among the best.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/objective/Metric.h"

namespace lockstep {

/// The share of labels, by their weights, that are among the `best` classes with the largest outputs. Of classes with
/// equal outputs the last is the best, as in scikit-learn's top_k_accuracy_score; if `best` is 1, PyTorch's argmax
/// says.
std::shared_ptr<const Metric> make_top_accuracy(std::int64_t best);

}  // namespace lockstep

// How often the right class is among the best.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/objective/Metric.h"

namespace lockstep {

/// The share of labels, by their weights, that are among the `best` classes with the largest outputs. Of classes with
/// equal outputs, which count is up to PyTorch's argmax and topk.
std::shared_ptr<const Metric> make_top_accuracy(std::int64_t best);

}  // namespace lockstep

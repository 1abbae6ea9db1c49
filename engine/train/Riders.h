// What a training step sends along with its gradients.
#pragma once

#include <cstdint>

namespace lockstep {

/// The riders of a step's FlatParameters, which are summed over the ranks: the loss; how many ranks want to stop, or to
/// save; how much the samples count, as kernels::StepWeight has it; and how many running statistics are not finite.
enum Rider : std::int64_t { kLoss, kStop, kSave, kWeight, kMissingWeight, kWrongStatistics, kRiders };

}  // namespace lockstep

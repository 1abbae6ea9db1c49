// Where training stands.
#pragma once

#include <cstdint>

#include "engine/data/Loader.h"

namespace lockstep {

/// Counted by the loop as it goes. The first four go on from a checkpoint; the others count what this process has done.
struct TrainingProgress {
  std::int64_t global_step = 0;  ///< steps that were started
  LoaderPosition position{};     ///< of the next step; step = steps of the epoch: its evaluation comes next
  double epoch_loss = 0;         ///< Σ step loss × weight of the epoch so far, without skipped and weightless steps
  double epoch_weight = 0;       ///< in that sum: samples, by what their positions weigh on average
  std::int64_t trained_samples = 0;   ///< over all ranks
  double training_seconds = 0;        ///< steps only, without evaluations
  std::int64_t finite_step = -1;      ///< after which the state was last found to be finite
  std::int64_t not_finite_steps = 0;  ///< that were passed over
  std::int64_t not_finite_in_row = 0;
  bool stopped = false;               ///< on request: the same on all ranks
  bool capture_failure_told = false;  ///< why steps are not captured
};

}  // namespace lockstep

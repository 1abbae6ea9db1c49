// What changes from one optimizer step to the next. Operators read it through a pointer when they run, so that a step
// captured as a CUDA graph follows it.
#pragma once

#include <cstdint>

#include "kernels/Segment.h"
#include "kernels/Stream.h"

namespace lockstep::kernels {

struct FlatStep {
  double learning_rate = 0;
  double gradient_scale = 1;  ///< multiplies every gradient first: unscaling, correcting for the weight, clipping
  bool skip = false;          ///< the gradients cannot be used: nothing changes, nor do step counts
};

struct StepAdvance {
  Segment* segments;
  std::int64_t segment_count;
  const FlatStep* step;
};

/// Before an optimizer's update: adds 1 to the step counts of the segments that it will not skip.
void advance_steps(const StepAdvance& args);
void advance_steps(const StepAdvance& args, Stream stream);

}  // namespace lockstep::kernels

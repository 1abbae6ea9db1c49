#include "kernels/flat_step/FlatStep.h"

namespace lockstep::kernels {

void advance_steps(const StepAdvance& args) {
  if (args.step->skip) return;
  for (std::int64_t i = 0; i < args.segment_count; ++i) {
    if (!args.segments[i].skip) ++args.segments[i].step;
  }
}

}  // namespace lockstep::kernels

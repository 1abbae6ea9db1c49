#include "kernels/flat_step/FlatStep.h"

#include "kernels/Cuda.cuh"

namespace lockstep::kernels {

namespace {

using namespace device;

constexpr int kThreads = 128;

__global__ void advance_steps_kernel(StepAdvance args) {
  const std::int64_t i = grid_index();
  if (i < args.segment_count && !args.step->skip && !args.segments[i].skip) ++args.segments[i].step;
}

}  // namespace

void advance_steps(const StepAdvance& args, Stream stream) {
  launch("advance_steps", advance_steps_kernel, divide_up(args.segment_count, kThreads), kThreads, stream, args);
}

}  // namespace lockstep::kernels

// What the CUDA forms of AdamW and LAMB share.
#pragma once

#include "kernels/Adam.h"
#include "kernels/Cuda.cuh"

namespace lockstep::kernels::device {

/// adam_factors in every thread of a block. One computes them: float64 is slow. All must call it, once.
template <typename Real>
__device__ inline AdamFactors<Real> block_adam_factors(const AdamOptions& options, const Segment& segment, double rate,
                                                       double gradient_scale) {
  LOCKSTEP_SHARED(AdamFactors<Real>, shared, 1);
  if (threadIdx.x == 0) shared[0] = adam_factors<Real>(options, segment, rate, gradient_scale);
  __syncthreads();
  return shared[0];
}

}  // namespace lockstep::kernels::device

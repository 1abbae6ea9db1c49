// The size of a gradient and whether it can be used, in one pass.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/Segment.h"

namespace lockstep::kernels {

struct GradientNorm {
  double sum_of_squares = 0;    ///< in float64, whatever the gradient's type; not finite when an element is not
  std::int64_t non_finite = 0;  ///< how many elements are NaN or infinite
};

/// Over the segments that are not skipped. The order of additions depends on the segments alone, so the
/// result is the same to the bit for any number of threads and on any x86-64 machine.
GradientNorm gradient_norm(std::span<const float> gradients, std::span<const Segment> segments);
GradientNorm gradient_norm(std::span<const double> gradients, std::span<const Segment> segments);

}  // namespace lockstep::kernels

// The exponential moving average of parameters, as torch.optim.swa_utils.get_ema_multi_avg_fn (PyTorch 2.11) has it in
// an AveragedModel: the average takes the place of `parameters`, the parameters that of `gradients`; t = segment.step:
//   a = p                      (t = 1)
//   a = a + (1 - decay)(p - a)
#pragma once

#include "kernels/flat_update/FlatUpdate.h"

namespace lockstep::kernels {

struct AverageOptions {
  double decay = 0.999;
};

template <typename Real>
struct Average {
  using Number = Real;
  using Options = AverageOptions;
  static constexpr int kStates = 0;

  Real weight;

  static constexpr Average of(const Options& options, const Segment& segment, const FlatStep&) {
    return {.weight = static_cast<Real>(segment.step == 1 ? 1 : 1 - options.decay)};
  }
  constexpr void operator()(Real& a, Real p) const { a = interpolate(a, p, weight); }
};

}  // namespace lockstep::kernels

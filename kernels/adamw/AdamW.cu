#include "kernels/Adam.cuh"
#include "kernels/FlatLoop.cuh"
#include "kernels/adamw/AdamW.h"

namespace lockstep::kernels {

namespace {

using namespace device;

template <typename Real>
__global__ void __launch_bounds__(kFlatThreads) adamw_kernel(AdamWUpdate<Real> args) {
  const Piece piece = args.work.pieces[blockIdx.x];
  const Segment& segment = args.work.segments[piece.segment];
  if (args.step->skip || segment.skip) return;
  const auto f = block_adam_factors<Real>(
      args.options, segment, args.step->learning_rate * segment.learning_rate_factor, args.step->gradient_scale);
  const Real root_factor = 1 / f.root_correction;
  for_each_element(
      piece.length,
      [&](Real& p, Real g, Real& m, Real& v) {
        update_moments(g, m, v, f);
        p = p * f.decay - f.step_size * m / (sqrt(v) * root_factor + f.epsilon);
      },
      args.parameters + piece.begin, args.gradients + piece.begin, args.first_moment + piece.state,
      args.second_moment + piece.state);
}

}  // namespace

template <typename Real>
void adamw(const AdamWUpdate<Real>& args, Stream stream) {
  launch("adamw", adamw_kernel<Real>, args.work.piece_count, kFlatThreads, stream, args);
}

template void adamw(const AdamWUpdate<float>&, Stream);
template void adamw(const AdamWUpdate<double>&, Stream);

}  // namespace lockstep::kernels

#include "kernels/Adam.cuh"
#include "kernels/FlatLoop.cuh"
#include "kernels/adamw/AdamW.h"

namespace lockstep::kernels {

namespace {

using namespace device;

template <typename Real>
__global__ void __launch_bounds__(kFlatThreads) adamw_kernel(AdamWUpdate<Real> args) {
  constexpr int kVector = kVectorLength<Real>;
  const Piece piece = args.work.pieces[blockIdx.x];
  const Segment& segment = args.work.segments[piece.segment];
  if (args.step->skip || segment.skip) return;
  const auto f = block_adam_factors<Real>(
      args.options, segment, args.step->learning_rate * segment.learning_rate_factor, args.step->gradient_scale);
  const Real root_factor = 1 / f.root_correction;
  Real* const parameters = args.parameters + piece.begin;
  const Real* const gradients = args.gradients + piece.begin;
  Real* const first = args.first_moment + piece.state;
  Real* const second = args.second_moment + piece.state;
  for_each_vector<kVector>(
      piece.length, vector_head<kVector>(piece.length, parameters, gradients, first, second), [&]<int kLength>(int i) {
        auto p = load<kLength>(parameters + i);
        const auto g = load<kLength>(gradients + i);
        auto m = load<kLength>(first + i);
        auto v = load<kLength>(second + i);
        for (int k = 0; k < kLength; ++k) {
          update_moments(g.values[k], m.values[k], v.values[k], f);
          p.values[k] =
              p.values[k] * f.decay - f.step_size * m.values[k] / (sqrt(v.values[k]) * root_factor + f.epsilon);
        }
        store(parameters + i, p);
        store(first + i, m);
        store(second + i, v);
      });
}

}  // namespace

template <typename Real>
void adamw(const AdamWUpdate<Real>& args, Stream stream) {
  launch("adamw", adamw_kernel<Real>, args.work.piece_count, kFlatThreads, stream, args);
}

template void adamw(const AdamWUpdate<float>&, Stream);
template void adamw(const AdamWUpdate<double>&, Stream);

}  // namespace lockstep::kernels

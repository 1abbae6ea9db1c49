#include "kernels/FlatLoop.cuh"
#include "kernels/sgd/Sgd.h"

namespace lockstep::kernels {

namespace {

using namespace device;

enum class Momentum { kNone, kPlain, kNesterov };

template <Momentum kMomentum, typename Real>
__global__ void __launch_bounds__(kFlatThreads) sgd_kernel(SgdUpdate<Real> args) {
  constexpr int kVector = kVectorLength<Real>;
  const Piece piece = args.work.pieces[blockIdx.x];
  const Segment segment = args.work.segments[piece.segment];
  if (args.step->skip || segment.skip) return;
  const auto rate = static_cast<Real>(args.step->learning_rate * segment.learning_rate_factor);
  const auto momentum = static_cast<Real>(args.momentum);
  const auto weight_decay = static_cast<Real>(segment.weight_decay);
  const auto scale = static_cast<Real>(args.step->gradient_scale);
  Real* const parameters = args.parameters + piece.begin;
  const Real* const gradients = args.gradients + piece.begin;
  Real* const velocity = kMomentum == Momentum::kNone ? parameters : args.velocity + piece.state;
  for_each_vector<kVector>(
      piece.length, vector_head<kVector>(piece.length, parameters, gradients, velocity), [&]<int kLength>(int i) {
        auto p = load<kLength>(parameters + i);
        const auto g = load<kLength>(gradients + i);
        Vector<Real, kLength> m;
        if constexpr (kMomentum != Momentum::kNone) m = load<kLength>(velocity + i);
        for (int k = 0; k < kLength; ++k) {
          Real change = g.values[k] * scale + weight_decay * p.values[k];
          if constexpr (kMomentum != Momentum::kNone) {
            m.values[k] = momentum * m.values[k] + change;
            change = kMomentum == Momentum::kNesterov ? change + momentum * m.values[k] : m.values[k];
          }
          p.values[k] -= rate * change;
        }
        store(parameters + i, p);
        if constexpr (kMomentum != Momentum::kNone) store(velocity + i, m);
      });
}

}  // namespace

template <typename Real>
void sgd(const SgdUpdate<Real>& args, Stream stream) {
  launch("sgd",
         args.momentum == 0 ? sgd_kernel<Momentum::kNone, Real>
         : args.nesterov    ? sgd_kernel<Momentum::kNesterov, Real>
                            : sgd_kernel<Momentum::kPlain, Real>,
         args.work.piece_count, kFlatThreads, stream, args);
}

template void sgd(const SgdUpdate<float>&, Stream);
template void sgd(const SgdUpdate<double>&, Stream);

}  // namespace lockstep::kernels

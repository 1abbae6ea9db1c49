#include "kernels/FlatLoop.cuh"
#include "kernels/sgd/Sgd.h"

namespace lockstep::kernels {

namespace {

using namespace device;

enum class Momentum { kNone, kPlain, kNesterov };

template <Momentum kMomentum, typename Real>
__global__ void __launch_bounds__(kFlatThreads) sgd_kernel(SgdUpdate<Real> args) {
  const Piece piece = args.work.pieces[blockIdx.x];
  const Segment segment = args.work.segments[piece.segment];
  if (args.step->skip || segment.skip) return;
  const auto rate = static_cast<Real>(args.step->learning_rate * segment.learning_rate_factor);
  const auto momentum = static_cast<Real>(args.momentum);
  const auto weight_decay = static_cast<Real>(segment.weight_decay);
  const auto scale = static_cast<Real>(args.step->gradient_scale);
  Real* const parameters = args.parameters + piece.begin;
  const Real* const gradients = args.gradients + piece.begin;
  if constexpr (kMomentum == Momentum::kNone) {
    for_each_element(
        piece.length, [&](Real& p, Real g) { p -= rate * (g * scale + weight_decay * p); }, parameters, gradients);
  } else {
    for_each_element(
        piece.length,
        [&](Real& p, Real g, Real& m) {
          const Real change = g * scale + weight_decay * p;
          m = momentum * m + change;
          p -= rate * (kMomentum == Momentum::kNesterov ? change + momentum * m : m);
        },
        parameters, gradients, args.velocity + piece.state);
  }
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

#include "kernels/Adam.cuh"
#include "kernels/FlatLoop.cuh"
#include "kernels/lamb/Lamb.h"

namespace lockstep::kernels {

namespace {

using namespace device;

// Both passes compute it, so that it need not be stored.
template <typename Real>
__device__ Real direction(Real p, Real m, Real v, const AdamFactors<Real>& f, Real root_factor, Real weight_decay) {
  return f.step_size * m / (sqrt(v) * root_factor + f.epsilon) + weight_decay * p;
}

// Moments, and sums of squares of one piece. The bound on blocks keeps nvcc from spilling to stay below 64 registers.
template <typename Real>
__global__ void __launch_bounds__(kFlatThreads, 2) first_pass_kernel(LambUpdate<Real> args) {
  constexpr int kVector = kVectorLength<Real>;
  const Piece piece = args.work.pieces[blockIdx.x];
  const Segment& segment = args.work.segments[piece.segment];
  if (args.step->skip || segment.skip) return;
  const auto f = block_adam_factors<Real>(args.options, segment, 1, args.step->gradient_scale);
  const Real root_factor = 1 / f.root_correction;
  const auto weight_decay = static_cast<Real>(segment.weight_decay);
  const Real* const parameters = args.parameters + piece.begin;
  const Real* const gradients = args.gradients + piece.begin;
  Real* const first = args.first_moment + piece.begin;
  Real* const second = args.second_moment + piece.begin;
  LambPiece sums{};
  for_each_vector<kVector>(
      piece.length, vector_head<kVector>(piece.length, parameters, gradients, first, second), [&]<int kLength>(int i) {
        const auto p = load<kLength>(parameters + i);
        const auto g = load<kLength>(gradients + i);
        auto m = load<kLength>(first + i);
        auto v = load<kLength>(second + i);
        for (int k = 0; k < kLength; ++k) {
          update_moments(g.values[k], m.values[k], v.values[k], f);
          const double update = direction(p.values[k], m.values[k], v.values[k], f, root_factor, weight_decay);
          sums.parameters += static_cast<double>(p.values[k]) * p.values[k];
          sums.update += update * update;
        }
        store(first + i, m);
        store(second + i, v);
      });
  sums.parameters = block_sum<kFlatThreads>(sums.parameters);
  sums.update = block_sum<kFlatThreads>(sums.update);
  if (threadIdx.x == 0) args.workspace[blockIdx.x] = sums;
}

// The block of a segment's first piece sums over all of them; the other blocks have nothing to do.
__global__ void __launch_bounds__(kFlatThreads)
    trust_ratio_kernel(FlatWork work, const FlatStep* step, LambPiece* parts) {
  const std::int64_t first = blockIdx.x;
  const std::int32_t segment = work.pieces[first].segment;
  if (step->skip || work.segments[segment].skip) return;
  if (first > 0 && work.pieces[first - 1].segment == segment) return;
  const auto for_each = [&](const auto& visit) {
    for (std::int64_t i = first + threadIdx.x; i < work.piece_count && work.pieces[i].segment == segment;
         i += kFlatThreads) {
      visit(parts[i]);
    }
  };
  double parameters = 0;
  double update = 0;
  for_each([&](const LambPiece& part) {
    parameters += part.parameters;
    update += part.update;
  });
  const double ratio = trust_ratio(block_sum<kFlatThreads>(parameters), block_sum<kFlatThreads>(update));
  for_each([&](LambPiece& part) { part.trust_ratio = ratio; });
}

template <typename Real>
__global__ void __launch_bounds__(kFlatThreads) second_pass_kernel(LambUpdate<Real> args) {
  constexpr int kVector = kVectorLength<Real>;
  const Piece piece = args.work.pieces[blockIdx.x];
  const Segment& segment = args.work.segments[piece.segment];
  if (args.step->skip || segment.skip) return;
  const auto f = block_adam_factors<Real>(args.options, segment, 1, args.step->gradient_scale);
  const Real root_factor = 1 / f.root_correction;
  const auto weight_decay = static_cast<Real>(segment.weight_decay);
  const auto rate = static_cast<Real>(args.step->learning_rate * segment.learning_rate_factor *
                                      args.workspace[blockIdx.x].trust_ratio);
  Real* const parameters = args.parameters + piece.begin;
  const Real* const first = args.first_moment + piece.begin;
  const Real* const second = args.second_moment + piece.begin;
  for_each_vector<kVector>(
      piece.length, vector_head<kVector>(piece.length, parameters, first, second), [&]<int kLength>(int i) {
        auto p = load<kLength>(parameters + i);
        const auto m = load<kLength>(first + i);
        const auto v = load<kLength>(second + i);
        for (int k = 0; k < kLength; ++k) {
          p.values[k] -= rate * direction(p.values[k], m.values[k], v.values[k], f, root_factor, weight_decay);
        }
        store(parameters + i, p);
      });
}

}  // namespace

template <typename Real>
void lamb(const LambUpdate<Real>& args, Stream stream) {
  launch("lamb's first pass", first_pass_kernel<Real>, args.work.piece_count, kFlatThreads, stream, args);
  launch("lamb's trust ratios", trust_ratio_kernel, args.work.piece_count, kFlatThreads, stream, args.work, args.step,
         args.workspace);
  launch("lamb's second pass", second_pass_kernel<Real>, args.work.piece_count, kFlatThreads, stream, args);
}

template void lamb(const LambUpdate<float>&, Stream);
template void lamb(const LambUpdate<double>&, Stream);

}  // namespace lockstep::kernels

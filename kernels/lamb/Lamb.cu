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
  const Piece piece = args.work.pieces[blockIdx.x];
  const Segment& segment = args.work.segments[piece.segment];
  if (args.step->skip || segment.skip) return;
  const auto f = block_adam_factors<Real>(args.options, segment, 1, args.step->gradient_scale);
  const Real root_factor = 1 / f.root_correction;
  const auto weight_decay = static_cast<Real>(segment.weight_decay);
  LambPiece sums{};
  for_each_element(
      piece.length,
      [&](Real p, Real g, Real& m, Real& v) {
        update_moments(g, m, v, f);
        const double update = direction(p, m, v, f, root_factor, weight_decay);
        sums.parameters += static_cast<double>(p) * p;
        sums.update += update * update;
      },
      static_cast<const Real*>(args.parameters) + piece.begin, args.gradients + piece.begin,
      args.first_moment + piece.begin, args.second_moment + piece.begin);
  sums.parameters = block_sum<kFlatThreads>(sums.parameters);
  sums.update = block_sum<kFlatThreads>(sums.update);
  if (threadIdx.x != 0) return;
  const std::int64_t i = blockIdx.x;
  args.workspace[i] = sums;
  LambSegment& whole = args.segment_workspace[piece.segment];
  if (i == 0 || args.work.pieces[i - 1].segment != piece.segment) whole.first_piece = i;
  if (i + 1 == args.work.piece_count || args.work.pieces[i + 1].segment != piece.segment) whole.last_piece = i;
}

// A block for each segment sums over its pieces, several of them on their way.
__global__ void __launch_bounds__(kFlatThreads)
    trust_ratio_kernel(FlatWork work, const FlatStep* step, const LambPiece* parts, LambSegment* segments) {
  const Segment& segment = work.segments[blockIdx.x];
  if (step->skip || segment.skip || segment.length == 0) return;
  LambSegment& whole = segments[blockIdx.x];
  const std::int64_t last = whole.last_piece;
  LambPiece sums{};
#pragma unroll 8
  for (std::int64_t i = whole.first_piece + threadIdx.x; i <= last; i += kFlatThreads) {
    sums.parameters += parts[i].parameters;
    sums.update += parts[i].update;
  }
  const double ratio = trust_ratio(block_sum<kFlatThreads>(sums.parameters), block_sum<kFlatThreads>(sums.update));
  if (threadIdx.x == 0) whole.trust_ratio = ratio;
}

template <typename Real>
__global__ void __launch_bounds__(kFlatThreads) second_pass_kernel(LambUpdate<Real> args) {
  const Piece piece = args.work.pieces[blockIdx.x];
  const Segment& segment = args.work.segments[piece.segment];
  if (args.step->skip || segment.skip) return;
  const auto f = block_adam_factors<Real>(args.options, segment, 1, args.step->gradient_scale);
  const Real root_factor = 1 / f.root_correction;
  const auto weight_decay = static_cast<Real>(segment.weight_decay);
  const auto rate = static_cast<Real>(args.step->learning_rate * segment.learning_rate_factor *
                                      args.segment_workspace[piece.segment].trust_ratio);
  for_each_element(
      piece.length, [&](Real& p, Real m, Real v) { p -= rate * direction(p, m, v, f, root_factor, weight_decay); },
      args.parameters + piece.begin, static_cast<const Real*>(args.first_moment) + piece.begin,
      static_cast<const Real*>(args.second_moment) + piece.begin);
}

}  // namespace

template <typename Real>
void lamb(const LambUpdate<Real>& args, Stream stream) {
  launch("lamb's first pass", first_pass_kernel<Real>, args.work.piece_count, kFlatThreads, stream, args);
  launch("lamb's trust ratios", trust_ratio_kernel, args.segment_count, kFlatThreads, stream, args.work, args.step,
         static_cast<const LambPiece*>(args.workspace), args.segment_workspace);
  launch("lamb's second pass", second_pass_kernel<Real>, args.work.piece_count, kFlatThreads, stream, args);
}

template void lamb(const LambUpdate<float>&, Stream);
template void lamb(const LambUpdate<double>&, Stream);

}  // namespace lockstep::kernels

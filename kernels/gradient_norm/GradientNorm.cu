#include "kernels/gradient_norm/GradientNorm.h"

#include "kernels/FlatLoop.cuh"

namespace lockstep::kernels {

namespace {

using namespace device;

constexpr int kSumThreads = 256;

template <typename Real>
__global__ void __launch_bounds__(kFlatThreads) gradient_norm_kernel(GradientNormPass<Real> args) {
  const Piece piece = args.work.pieces[blockIdx.x];
  GradientNorm sums;
  if (!args.work.segments[piece.segment].skip) {
    for_each_element(
        piece.length,
        [&](Real g) {
          const double value = g;
          sums.sum_of_squares += value * value;
          sums.non_finite += isfinite(g) ? 0 : 1;
        },
        args.gradients + piece.begin);
  }
  sums.sum_of_squares = block_sum<kFlatThreads>(sums.sum_of_squares);
  sums.non_finite = block_sum<kFlatThreads>(sums.non_finite);
  if (threadIdx.x == 0) args.workspace[blockIdx.x] = sums;
}

__global__ void __launch_bounds__(kSumThreads)
    sum_norms_kernel(const GradientNorm* parts, const Piece* pieces, std::int64_t count, GradientNorm* norm) {
  GradientNorm sums;
  for (std::int64_t i = threadIdx.x; i < count; i += kSumThreads) {
    sums.sum_of_squares += parts[i].sum_of_squares;
    sums.non_finite += parts[i].non_finite;
  }
  sums.sum_of_squares = block_sum<kSumThreads>(sums.sum_of_squares);
  sums.non_finite = block_sum<kSumThreads>(sums.non_finite);
  if (threadIdx.x != 0) return;
  if (sums.non_finite > 0) {  // rare: one thread may look for it
    std::int64_t first = 0;
    while (parts[first].non_finite == 0) ++first;
    sums.segment = pieces[first].segment;
  }
  *norm = sums;
}

__global__ void sum_of_norms_kernel(NormSum args) {
  GradientNorm sum;
  for (std::int64_t i = 0; i < args.count; ++i) add_norm(sum, args.parts[i]);
  *args.norm = sum;
}

__global__ void clip_gradients_kernel(GradientClip args) {
  const StepWeight weight = args.weight == nullptr ? StepWeight() : *args.weight;
  const double factor = (args.unscale == nullptr ? 1 : *args.unscale) * weight_correction(weight);
  const double norm = sqrt(args.norm->sum_of_squares) * factor;
  args.step->gradient_scale = args.clip_norm == 0 ? factor : factor * clip_scale(norm, args.clip_norm);
  const bool no_norm_to_clip_by = args.clip_norm > 0 && !isfinite(norm);
  args.step->skip = args.norm->non_finite > 0 || !(weight.actual > 0) || no_norm_to_clip_by || is_refused(args);
}

}  // namespace

template <typename Real>
void gradient_norm(const GradientNormPass<Real>& args, Stream stream) {
  launch("gradient_norm", gradient_norm_kernel<Real>, args.work.piece_count, kFlatThreads, stream, args);
  launch("gradient_norm's sum", sum_norms_kernel, 1, kSumThreads, stream,
         static_cast<const GradientNorm*>(args.workspace), args.work.pieces, args.work.piece_count, args.norm);
}

template void gradient_norm(const GradientNormPass<float>&, Stream);
template void gradient_norm(const GradientNormPass<double>&, Stream);

void sum_norms(const NormSum& args, Stream stream) { launch("sum_norms", sum_of_norms_kernel, 1, 1, stream, args); }

void clip_gradients(const GradientClip& args, Stream stream) {
  launch("clip_gradients", clip_gradients_kernel, 1, 1, stream, args);
}

}  // namespace lockstep::kernels

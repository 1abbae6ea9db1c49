#include "engine/optim/Muon.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "common/Error.h"
#include "engine/device/KernelForm.h"
#include "kernels/adamw/AdamW.h"

namespace lockstep {

namespace {

std::vector<kernels::Segment> with_rates(std::vector<kernels::Segment> segments, const Hyperparameters& options) {
  if (options.adamw_learning_rate == 0) return segments;
  if (std::ranges::all_of(segments, &kernels::Segment::matrix)) {
    throw InputError(
        "adamw_learning_rate does nothing in this job: all parameters that are trained are matrices, which muon "
        "updates; "
        "leave it out, or name some of them in parameter_groups with \"optimizer\": \"adamw\"");
  }
  for (kernels::Segment& segment : segments) {
    if (!segment.matrix) segment.learning_rate_factor *= options.adamw_learning_rate / options.learning_rate;
  }
  return segments;
}

std::vector<kernels::Piece> pieces_where(const std::vector<kernels::Segment>& segments, bool matrix,
                                         const c10::Device& device) {
  std::vector<kernels::Piece> pieces = kernels::pieces_of(segments, piece_length(device));
  std::erase_if(pieces, [&](const kernels::Piece& piece) {
    return segments[static_cast<std::size_t>(piece.segment)].matrix != matrix;
  });
  return pieces;
}

kernels::FlatWork work_on(const kernels::FlatWork& all, const DeviceArray<kernels::Piece>& pieces) {
  return {all.segments, pieces.data(), static_cast<std::int64_t>(pieces.size())};
}

}  // namespace

at::Tensor orthogonal(const at::Tensor& matrix) {
  constexpr double kA = 3.4445;
  constexpr double kB = -4.775;
  constexpr double kC = 2.0315;
  constexpr double kEpsilon = 1e-7;
  constexpr int kSteps = 5;
  const bool tall = matrix.size(0) > matrix.size(1);
  at::Tensor x = matrix.to(at::kBFloat16, /*non_blocking=*/false, /*copy=*/true);
  if (tall) x = x.t();
  x.div_(x.norm().clamp_min(kEpsilon));
  for (int step = 0; step < kSteps; ++step) {
    const at::Tensor gram = at::matmul(x, x.t());
    x = at::addmm(x, at::addmm(gram, gram, gram, kB, kC), x, kA);
  }
  return tall ? x.t() : x;
}

template <typename Real>
Muon<Real>::Muon(const Hyperparameters& options, const FlatStorage& storage,
                 const std::vector<kernels::Segment>& segments)
    : Optimizer(storage, with_rates(segments, options)),
      options_{.momentum = options.momentum, .nesterov = options.nesterov},
      adam_options_{.beta1 = options.beta1, .beta2 = options.beta2, .epsilon = options.epsilon},
      first_moment_(at::zeros_like(storage.parameters)),
      second_moment_(at::zeros_like(storage.parameters)),
      matrix_pieces_(pieces_where(segments, true, device()), device()),
      other_pieces_(pieces_where(segments, false, device()), device()) {
  if (storage.by_segment.size() != segments.size()) throw InternalError("muon is not told the sizes of its parameters");
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (!segments[i].matrix || segments[i].length == 0) continue;
    const at::Tensor& like = storage.by_segment[i];
    matrices_.push_back(
        {.direction = second_moment_.as_strided(like.sizes(), like.strides(),
                                                second_moment_.storage_offset() + segments[i].offset),
         .scale = std::sqrt(std::max(1.0, static_cast<double>(like.size(0)) / static_cast<double>(like.size(1))))});
  }
}

template <typename Real>
void Muon<Real>::update(const kernels::FlatWork& work, const kernels::FlatStep* step) {
  const c10::NoGradGuard no_grad;
  const kernels::FlatWork matrices = work_on(work, matrix_pieces_);
  Real* const parameters = storage().parameters.template mutable_data_ptr<Real>();
  const Real* const gradients = storage().gradients.template const_data_ptr<Real>();
  Real* const first = first_moment_.template mutable_data_ptr<Real>();
  Real* const second = second_moment_.template mutable_data_ptr<Real>();
  with_kernel_form(device(), [&](auto... stream) {
    kernels::flat_update(
        kernels::FlatUpdate<kernels::MuonMomentum<Real>>{second, gradients, {first}, matrices, step, options_},
        stream...);
  });
  for (const Matrix& matrix : matrices_) {
    matrix.direction.copy_(orthogonal(matrix.direction));
    matrix.direction.mul_(matrix.scale);
  }
  with_kernel_form(device(), [&](auto... stream) {
    kernels::flat_update(kernels::FlatUpdate<kernels::MuonStep<Real>>{parameters, second, {}, matrices, step, {}},
                         stream...);
    kernels::adamw(kernels::AdamWUpdate<Real>{.parameters = parameters,
                                              .gradients = gradients,
                                              .first_moment = first,
                                              .second_moment = second,
                                              .work = work_on(work, other_pieces_),
                                              .step = step,
                                              .options = adam_options_},
                   stream...);
  });
}

template class Muon<float>;
template class Muon<double>;

}  // namespace lockstep

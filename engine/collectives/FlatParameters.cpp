#include "engine/collectives/FlatParameters.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstdint>

#include "common/Error.h"
#include "engine/device/KernelForm.h"

namespace lockstep {

namespace {

constexpr std::uintptr_t kAlignment = 256;  // bytes: the plan's offsets count from such a boundary

at::Tensor aligned_zeros(std::int64_t length, const at::TensorOptions& options) {
  const auto item = static_cast<std::int64_t>(options.dtype().itemsize());
  const at::Tensor padded = at::zeros({length + static_cast<std::int64_t>(kAlignment) / item}, options);
  const auto misaligned = reinterpret_cast<std::uintptr_t>(padded.const_data_ptr()) % kAlignment;
  const auto skip = static_cast<std::int64_t>((kAlignment - misaligned) % kAlignment) / item;
  return padded.narrow(0, skip, length);
}

at::Tensor view(const at::Tensor& flat, std::int64_t offset, const at::Tensor& like) {
  const at::Tensor dense = like.is_non_overlapping_and_dense() ? like : like.contiguous();
  return flat.as_strided(dense.sizes(), dense.strides(), flat.storage_offset() + offset);
}

c10::Device device_of(const std::vector<at::Tensor>& parameters) {
  return parameters.empty() ? c10::Device(at::kCPU) : parameters[0].device();
}

}  // namespace

FlatParameters::FlatParameters(BucketPlan plan, std::vector<at::Tensor> parameters, std::int64_t riders, int rank)
    : plan_(std::move(plan)),
      owned_(plan_.ranges_of(rank)),
      parameters_(std::move(parameters)),
      segments_(plan_.segments(), device_of(parameters_)),
      pieces_(kernels::pieces_of(plan_.segments(), piece_length(device_of(parameters_)), owned_),
              device_of(parameters_)),
      whole_pieces_(kernels::pieces_of(plan_.segments(), piece_length(device_of(parameters_))), device_of(parameters_)),
      workspace_(whole_pieces_.size(), device_of(parameters_)) {
  if (parameters_.size() != plan_.segments().size()) throw InternalError("the plan is not of these parameters");
  const c10::NoGradGuard no_grad;
  const at::TensorOptions options = parameters_.empty() ? at::TensorOptions(at::kFloat) : parameters_[0].options();
  const at::ScalarType type = options.dtype().toScalarType();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!parameters_[i].is_leaf() || !parameters_[i].requires_grad()) {
      throw InternalError("parameter " + plan_.names()[i] + " is not a leaf that requires a gradient");
    }
    if (parameters_[i].numel() != plan_.segments()[i].length) {
      throw InternalError("parameter " + plan_.names()[i] + " has " + std::to_string(parameters_[i].numel()) +
                          " elements, its place in the plan " + std::to_string(plan_.segments()[i].length));
    }
    const at::ScalarType found = parameters_[i].scalar_type();
    if (found != type || (type != at::kFloat && type != at::kDouble)) {
      throw InputError("parameter " + plan_.names()[i] + " is " + c10::toString(found) +
                       "; all trained parameters must be float32, or all float64");
    }
  }
  flat_parameters_ = aligned_zeros(plan_.length(), options.requires_grad(false));
  const at::Tensor gradients_and_riders = aligned_zeros(plan_.length() + riders, options.requires_grad(false));
  flat_gradients_ = gradients_and_riders.narrow(0, 0, plan_.length());
  riders_ = gradients_and_riders.narrow(0, plan_.length(), riders);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& parameter = parameters_[i];
    const std::int64_t offset = plan_.segments()[i].offset;
    const at::Tensor place = view(flat_parameters_, offset, parameter);
    place.copy_(parameter);
    parameter.set_data(place);
    gradients_.push_back(view(flat_gradients_, offset, parameter));
    parameter.mutable_grad() = gradients_.back();
  }
}

void FlatParameters::find_norm(const at::Tensor& flat, const DeviceArray<kernels::Piece>& pieces,
                               kernels::GradientNorm* norm) {
  const auto find = [&]<typename Real>(const Real* numbers) {
    with_kernel_form(device(), [&](auto... stream) {
      kernels::gradient_norm(
          kernels::GradientNormPass<Real>{numbers,
                                          {segments_.data(), pieces.data(), static_cast<std::int64_t>(pieces.size())},
                                          workspace_.data(),
                                          norm},
          stream...);
    });
  };
  scalar_type() == at::kFloat ? find(flat.const_data_ptr<float>()) : find(flat.const_data_ptr<double>());
}

std::optional<std::size_t> FlatParameters::first_not_finite(const at::Tensor& flat) {
  DeviceArray<kernels::GradientNorm> norm(1, device());
  if (is_whole(flat)) {
    find_norm(flat, pieces_, norm.data());
  } else {
    std::vector<kernels::Piece> pieces = kernels::pieces_of(plan_.segments(), piece_length(device()), owned_);
    for (kernels::Piece& piece : pieces) piece.begin = piece.state;
    find_norm(flat, DeviceArray<kernels::Piece>(pieces, device()), norm.data());
  }
  const std::int64_t segment = norm.read().wait().front().segment;
  return segment < 0 ? std::nullopt : std::optional(static_cast<std::size_t>(segment));
}

void FlatParameters::take_owned(const at::Tensor& flat, const at::Tensor& state) const {
  for (const kernels::FlatRange& range : owned_) {
    state.narrow(0, range.state, range.length).copy_(flat.narrow(0, range.begin, range.length));
  }
}

at::Tensor FlatParameters::owned_part(const at::Tensor& flat, std::size_t parameter) const {
  const kernels::Segment& segment = plan_.segments()[parameter];
  const at::Tensor part = at::zeros({segment.length}, flat.options());
  for (const kernels::FlatRange& range : owned_) {
    const std::int64_t begin = std::max(segment.offset, range.begin);
    const std::int64_t length = std::min(segment.offset + segment.length, range.begin + range.length) - begin;
    if (length <= 0) continue;
    const std::int64_t from = is_whole(flat) ? begin : range.state + begin - range.begin;
    part.narrow(0, begin - segment.offset, length).copy_(flat.narrow(0, from, length));
  }
  return part.as_strided(parameters_[parameter].sizes(), parameters_[parameter].strides());
}

}  // namespace lockstep

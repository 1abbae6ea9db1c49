#include "engine/optim/Optimizer.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "common/Error.h"
#include "engine/device/KernelForm.h"

namespace lockstep {

namespace {

std::vector<kernels::Segment> at_step_zero(std::vector<kernels::Segment> segments) {
  for (kernels::Segment& segment : segments) segment.step = 0;
  return segments;
}

}  // namespace

std::int64_t FlatStorage::owned_length() const {
  std::int64_t length = 0;
  for (const kernels::FlatRange& range : owned) length += std::min(range.length, parameters.numel() - range.begin);
  return length;
}

at::Tensor FlatStorage::new_state() const { return at::zeros({owned_length()}, parameters.options()); }

Optimizer::Optimizer(FlatStorage storage, std::vector<kernels::Segment> segments)
    : storage_(std::move(storage)),
      received_(segments.size(), true),
      segments_(at_step_zero(segments), device()),
      pieces_(kernels::pieces_of(segments, piece_length(device()), storage_.owned), device()) {}

void Optimizer::step(const kernels::FlatStep* step, const std::vector<bool>& received) {
  if (received.size() != segments_.size()) throw InternalError("the flags are not of this optimizer's segments");
  if (received != received_) {
    std::vector<std::uint8_t> skip(received.size());
    for (std::size_t i = 0; i < skip.size(); ++i) skip[i] = received[i] ? 0 : 1;
    static_assert(sizeof(kernels::Segment::skip) == sizeof(std::uint8_t));
    segments_.write_column<std::uint8_t>(offsetof(kernels::Segment, skip), skip);
    received_ = received;
  }
  with_kernel_form(device(), [&](auto... stream) {
    kernels::advance_steps({segments_.data(), static_cast<std::int64_t>(segments_.size()), step}, stream...);
  });
  update({segments_.data(), pieces_.data(), static_cast<std::int64_t>(pieces_.size())}, step);
}

std::vector<std::int64_t> Optimizer::steps() const {
  std::vector<std::int64_t> steps;
  for (const kernels::Segment& segment : segments_.read().wait()) steps.push_back(segment.step);
  return steps;
}

void Optimizer::set_steps(const std::vector<std::int64_t>& steps) {
  if (steps.size() != segments_.size()) throw InternalError("the steps are not of this optimizer's segments");
  segments_.write_column<std::int64_t>(offsetof(kernels::Segment, step), steps);
}

}  // namespace lockstep

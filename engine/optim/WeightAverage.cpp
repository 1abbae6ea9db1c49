#include "engine/optim/WeightAverage.h"

#include <cstddef>
#include <utility>

#include "engine/device/KernelForm.h"
#include "kernels/flat_update/FlatUpdate.h"
#include "kernels/flat_update/formulas/Average.h"

namespace lockstep {

namespace {

// The average is of all parameters, those without a gradient too.
std::vector<kernels::Segment> not_updated(std::vector<kernels::Segment> segments) {
  for (kernels::Segment& segment : segments) {
    segment.step = 0;
    segment.skip = false;
  }
  return segments;
}

}  // namespace

WeightAverage::WeightAverage(double decay, at::Tensor parameters, std::vector<kernels::Segment> segments)
    : decay_(decay),
      parameters_(std::move(parameters)),
      values_(parameters_.clone()),
      segments_(not_updated(segments), parameters_.device()),
      pieces_(kernels::pieces_of(segments, piece_length(parameters_.device())), parameters_.device()) {}

void WeightAverage::update(const kernels::FlatStep* step) {
  const kernels::FlatWork work{segments_.data(), pieces_.data(), static_cast<std::int64_t>(pieces_.size())};
  const auto average = [&]<typename Real>(auto... stream) {
    kernels::advance_steps({segments_.data(), static_cast<std::int64_t>(segments_.size()), step}, stream...);
    kernels::flat_update(kernels::FlatUpdate<kernels::Average<Real>>{.parameters = values_.mutable_data_ptr<Real>(),
                                                                     .gradients = parameters_.const_data_ptr<Real>(),
                                                                     .states = {},
                                                                     .work = work,
                                                                     .step = step,
                                                                     .options = {.decay = decay_}},
                         stream...);
  };
  with_kernel_form(parameters_.device(), [&](auto... stream) {
    parameters_.scalar_type() == at::kDouble ? average.template operator()<double>(stream...)
                                             : average.template operator()<float>(stream...);
  });
}

std::int64_t WeightAverage::updates() const {
  const std::vector<kernels::Segment> segments = segments_.read().wait();
  return segments.empty() ? 0 : segments.front().step;
}

void WeightAverage::set_updates(std::int64_t updates) {
  segments_.write_column<std::int64_t>(offsetof(kernels::Segment, step),
                                       std::vector<std::int64_t>(segments_.size(), updates));
}

}  // namespace lockstep

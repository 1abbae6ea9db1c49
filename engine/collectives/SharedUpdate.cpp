#include "engine/collectives/SharedUpdate.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/device/KernelForm.h"

namespace lockstep {

SharedUpdate::SharedUpdate(FlatParameters& parameters, Communicator& communicator, bool whole_norm)
    : parameters_(parameters),
      communicator_(communicator),
      whole_norm_(whole_norm),
      norms_(static_cast<std::size_t>(communicator.size()), parameters.device()) {
  // As the reducer registers gradients.
  communicator_.register_buffer(parameters_.flat_parameters().mutable_data_ptr(),
                                parameters_.flat_parameters().nbytes());
}

void SharedUpdate::sum_norm(kernels::GradientNorm* norm) {
  if (whole_norm_) {
    gather(parameters_.flat_gradients(), &kernels::FlatRange::begin, parameters_.flat_gradients());
    return parameters_.find_whole_norm(norm);
  }
  communicator_.all_gather(norm, norms_.data(), sizeof *norm, DataType::kByte)->wait();
  with_kernel_form(parameters_.device(), [&](auto... stream) {
    kernels::sum_norms({norms_.data(), static_cast<std::int64_t>(norms_.size()), norm}, stream...);
  });
}

void SharedUpdate::gather_parameters() {
  gather(parameters_.flat_parameters(), &kernels::FlatRange::begin, parameters_.flat_parameters());
}

const at::Tensor& SharedUpdate::gather_state(const at::Tensor& state) {
  gather(state, &kernels::FlatRange::state, parameters_.flat_gradients());
  return parameters_.flat_gradients();
}

void SharedUpdate::gather(const at::Tensor& from, std::int64_t kernels::FlatRange::*place, at::Tensor& into) {
  const DataType type = parameters_.scalar_type() == at::kDouble ? DataType::kFloat64 : DataType::kFloat32;
  const auto bytes = [&](std::int64_t elements) { return static_cast<std::size_t>(elements) * size_of(type); };
  std::vector<std::unique_ptr<Work>> works;
  for (std::size_t i = 0; i < parameters_.owned().size(); ++i) {
    const kernels::FlatRange& own = parameters_.owned()[i];
    const std::int64_t bucket = parameters_.plan().buckets()[i].offset;
    works.push_back(communicator_.all_gather(static_cast<const std::byte*>(from.const_data_ptr()) + bytes(own.*place),
                                             static_cast<std::byte*>(into.mutable_data_ptr()) + bytes(bucket),
                                             static_cast<std::size_t>(own.length), type));
  }
  for (const auto& work : works) work->wait();
}

}  // namespace lockstep

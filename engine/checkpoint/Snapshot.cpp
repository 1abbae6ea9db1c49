#include "engine/checkpoint/Snapshot.h"

#include <ATen/core/Tensor.h>

#include <utility>

namespace lockstep {

namespace {

void own(NamedTensors& tensors) {
  for (auto& [name, tensor] : tensors) {
    tensor = tensor.detach().to(at::TensorOptions(at::kCPU), /*non_blocking=*/false, /*copy=*/true);
  }
}

}  // namespace

Snapshot Snapshot::owned() const {
  Checkpoint contents = contents_;
  own(contents.model);
  own(contents.optimizer);
  return Snapshot(std::move(contents));
}

}  // namespace lockstep

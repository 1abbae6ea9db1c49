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

Snapshot::Snapshot(Checkpoint live) : contents_(std::move(live)) {
  own(contents_.model);
  own(contents_.optimizer);
}

}  // namespace lockstep

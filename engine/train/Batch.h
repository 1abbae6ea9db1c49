// A micro-batch as it is computed on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lockstep {

/// A micro-batch in the memory of the device.
struct Batch {
  std::int64_t size = 0;  ///< samples; 0: the rank has none, and there are no tensors
  bool last_of_step = true;
  std::vector<at::Tensor> inputs{};  ///< in the program's order: [size, …]
  at::Tensor targets{};  ///< [size, …]: int64 for class labels, else real numbers; undefined: among the inputs
  at::Tensor weights{};  ///< of samples, or of their positions; undefined: all 1

  /// In memory of its own.
  Batch clone() const;
  /// Into the memory of this one, whose tensors are of the same sizes.
  void copy_from(const Batch& other);
};

}  // namespace lockstep

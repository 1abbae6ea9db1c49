// Which types of elements TensorFlow's operators compute with.
#pragma once

#include <string>
#include <string_view>

#include "common/ElementType.h"
#include "common/Error.h"

namespace lockstep {

/// An operator that TensorFlow does not have for what it would be given.
class TensorflowRefusal : public InputError {
 public:
  using InputError::InputError;
};

/// Whether TensorFlow's kernels for CPUs have the operator for tensors of `type`. True for operators that have it for
/// all types.
bool has_tensorflow_kernel(std::string_view op, ElementType type);

/// The type to compute an operator in, for tensors of `type`: that type, where TensorFlow has a kernel for it; else the
/// nearest that holds all its values. Integers that wrap around there do so in `type` again. Throws TensorflowRefusal
/// where there is none.
ElementType tensorflow_kernel_type(std::string_view op, ElementType type);

}  // namespace lockstep

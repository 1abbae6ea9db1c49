// Between the library's arrays and tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "common/ElementType.h"
#include "lockstep/Array.h"

namespace lockstep {

/// The engine's name of an array's type. Throws InputError for a number that is none.
ElementType element_type(v1::Type type);
/// The array type that holds a tensor's numbers: real numbers of fewer than 32 bits are float32, small integers int64.
v1::Type array_type(at::ScalarType type);

/// The array as a tensor that shares its memory. Throws InputError, naming `what`, for an array that is none: a
/// negative size, or no memory.
at::Tensor tensor_of(const v1::ArrayView& array, const std::string& what);
at::Tensor tensor_of(const v1::MutableArrayView& array, const std::string& what);

/// A contiguous tensor in the host's memory, of an array's type, as a view of it.
v1::ArrayView array_view_of(const at::Tensor& tensor);
v1::MutableArrayView mutable_array_view_of(const at::Tensor& tensor);

/// On the host, contiguous, of an array's type; the tensor itself where it is so.
at::Tensor on_host(const at::Tensor& tensor);

/// A copy.
v1::Array array_of(const at::Tensor& tensor);

}  // namespace lockstep

// Types of elements in ONNX's messages, and which of them ONNX Runtime computes with. Only for sources that include
// protobuf's headers.
#pragma once

#include <string_view>

#include "common/ElementType.h"
#include "engine/artifacts/onnx/onnx.pb.h"

namespace lockstep {

onnx::TensorProto::DataType to_onnx(ElementType type);
/// Throws InputError for a type that we do not write.
ElementType from_onnx(int type);

/// The type to compute an operator in, for tensors of `type`: that type, where ONNX Runtime's kernels for CPUs have it;
/// else the nearest that holds all its values, or, where there is none, the nearest that there is.
ElementType kernel_type(std::string_view op, ElementType type);

}  // namespace lockstep

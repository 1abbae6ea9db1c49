// What TensorFlow runs in place of each ATen operator: one row per operator.
#pragma once

#include <string>

#include "engine/program/Graph.h"

namespace lockstep {

class TensorflowLowering;

/// Adds the TensorFlow nodes that compute `node`, and binds its output to them.
using LowerOperator = void (*)(TensorflowLowering& lowering, const Node& node);

/// The lowering of a target such as `torch.ops.aten.conv2d.default`; nullptr for an operator that a SavedModel cannot
/// hold.
LowerOperator find_tensorflow_lowering(const std::string& target);

}  // namespace lockstep

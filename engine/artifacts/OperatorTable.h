// How each artifact format writes each ATen operator: one row per operator, one column per format that has operators of
// its own. (`pt2` keeps the program's, `safetensors` has none.)
#pragma once

#include <map>
#include <string>

#include "engine/program/Graph.h"

namespace lockstep {

class TensorflowLowering;

struct OperatorRow {
  /// Adds the nodes that compute `node` and binds its output; nullptr: the format cannot hold this operator.
  void (*tensorflow)(TensorflowLowering& lowering, const Node& node) = nullptr;
};

/// Target (`torch.ops.aten.conv2d.default`) → row.
const std::map<std::string, OperatorRow>& operator_table();

}  // namespace lockstep

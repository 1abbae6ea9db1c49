// Runs graphs of primitives: what a lowering, or a reader of a format, makes is judged by it.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "engine/artifacts/primitives/PrimitiveGraph.h"

namespace lockstep {

/// A graph and its state. Computes in the types that the graph names, double precision too.
class PrimitiveInterpreter {
 public:
  /// `state`: one tensor for each of the graph's, in its order.
  PrimitiveInterpreter(PrimitiveGraph graph, std::vector<at::Tensor> state);

  /// Inputs in the graph's order; returns its outputs. Throws InternalError, naming the value, where a type or a size
  /// is not what the graph says, or where one name stands for two sizes; c10::Error where an operation cannot compute.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs) const;

  const PrimitiveGraph& graph() const { return graph_; }

 private:
  PrimitiveGraph graph_;
  std::vector<at::Tensor> state_;
  std::vector<std::vector<std::size_t>> last_reads_;  ///< of each node: the values that nothing reads afterwards
};

}  // namespace lockstep

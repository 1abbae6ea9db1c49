// A program in its inference form as primitive operations, with its tensors: what a format of primitives writes.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "engine/artifacts/Artifact.h"
#include "engine/artifacts/TensorView.h"
#include "engine/artifacts/primitives/PrimitiveGraph.h"

namespace lockstep {

struct PrimitiveProgram {
  PrimitiveGraph graph;
  std::vector<at::Tensor> state;  ///< one for each of the graph's

  /// The tensor of these names. Throws InternalError when the graph does not read it.
  const at::Tensor& tensor(const std::vector<std::string>& names) const;
  /// The tensors, which this program keeps alive.
  std::vector<TensorView> views() const;
};

/// The tensor, which has to be kept alive, as formats see it.
TensorView view_of(const at::Tensor& tensor);

/// Throws InputError as lower_to_primitives does.
PrimitiveProgram to_primitives(const Program& program);

/// The model that the primitives are.
Artifact::Model make_model(PrimitiveProgram program);

}  // namespace lockstep

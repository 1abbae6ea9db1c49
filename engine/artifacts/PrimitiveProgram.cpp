#include "engine/artifacts/PrimitiveProgram.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "common/Error.h"
#include "engine/artifacts/primitives/PrimitiveInterpreter.h"
#include "engine/artifacts/primitives/PrimitiveSimplification.h"

namespace lockstep {

TensorView view_of(const at::Tensor& tensor) {
  return {static_cast<ElementType>(scalar_type_to_archive(tensor.scalar_type())), tensor.sizes().vec(),
          tensor.strides().vec(), static_cast<const std::byte*>(tensor.const_data_ptr())};
}

const at::Tensor& PrimitiveProgram::tensor(const std::vector<std::string>& names) const {
  const auto found = std::ranges::find(graph.state, names, &PrimitiveState::names);
  if (found == graph.state.end()) throw InternalError("a tensor is written that the primitives do not read");
  return state.at(static_cast<std::size_t>(found - graph.state.begin()));
}

std::vector<TensorView> PrimitiveProgram::views() const {
  std::vector<TensorView> views;
  for (const at::Tensor& each : state) views.push_back(view_of(each));
  return views;
}

PrimitiveProgram to_primitives(const Program& program) {
  PrimitiveProgram lowered{primitives_of(program), {}};
  lowered.state = primitive_state(lowered.graph, program);
  return lowered;
}

Artifact::Model make_model(PrimitiveProgram program) {
  const auto interpreter = std::make_shared<PrimitiveInterpreter>(std::move(program.graph), std::move(program.state));
  return [interpreter](const std::vector<at::Tensor>& inputs) { return interpreter->run(inputs); };
}

}  // namespace lockstep

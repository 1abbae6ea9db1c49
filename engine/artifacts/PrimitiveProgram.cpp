#include "engine/artifacts/PrimitiveProgram.h"

#include <memory>
#include <utility>

#include "engine/artifacts/primitives/PrimitiveInterpreter.h"
#include "engine/artifacts/primitives/PrimitiveSimplification.h"

namespace lockstep {

std::vector<TensorView> PrimitiveProgram::views() const {
  std::vector<TensorView> views;
  for (const at::Tensor& tensor : state) {
    views.push_back({static_cast<ElementType>(scalar_type_to_archive(tensor.scalar_type())), tensor.sizes().vec(),
                     tensor.strides().vec(), static_cast<const std::byte*>(tensor.const_data_ptr())});
  }
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

#include "engine/artifacts/SavedModelArtifact.h"

#include <map>

#include "common/Error.h"
#include "engine/artifacts/tensorflow/SavedModel.h"
#include "engine/artifacts/tensorflow/TensorflowInterpreter.h"
#include "engine/artifacts/tensorflow/TensorflowLowering.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

LoweredFunction lower(const Program& program) {
  TiedNames tied;
  std::map<const void*, std::string> first;  // tensor → the name it was met under
  for (const StateTensor& entry : program.state()) {
    const auto [found, is_new] = first.emplace(entry.tensor.unsafeGetTensorImpl(), entry.name);
    if (!is_new) tied[entry.name] = found->second;
  }
  return TensorflowLowering::lower(program.graph(), tied);
}

TensorView view(const at::Tensor& tensor) {
  return {static_cast<ElementType>(scalar_type_to_archive(tensor.scalar_type())), tensor.sizes().vec(),
          tensor.strides().vec(), static_cast<const std::byte*>(tensor.const_data_ptr())};
}

}  // namespace

void SavedModelArtifact::check(const Program& program) const { lower(program); }

void SavedModelArtifact::write(const Program& program, const fs::path& directory) const {
  const LoweredFunction lowered = lower(program);
  std::map<std::string, at::Tensor> state;
  for (const StateTensor& entry : program.state()) state[entry.name] = entry.tensor;
  std::vector<TensorView> values;
  for (std::size_t i = 0; i < lowered.variable_axes.size(); ++i) {
    const std::string& name = lowered.function.variables[i].names.at(0);
    values.push_back(view(state.at(name)).permuted(lowered.variable_axes[i]));
  }
  write_saved_model(lowered.function, values, directory / entry());
}

Artifact::Model SavedModelArtifact::read_back(const Program& program, const fs::path& directory) const {
  const SavedModel model(directory / entry());
  if (model.function() != lower(program).function) throw InternalError("the SavedModel holds another function");
  std::vector<std::string> names;
  for (const GraphInput* input : program.graph().user_inputs()) names.push_back(input->value);
  return [names, interpreter = TensorflowInterpreter(model)](const std::vector<at::Tensor>& inputs) {
    std::map<std::string, at::Tensor> by_name;
    for (std::size_t i = 0; i < inputs.size(); ++i) by_name[names.at(i)] = inputs[i];
    return interpreter.run(by_name);
  };
}

}  // namespace lockstep

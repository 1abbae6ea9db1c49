#include "engine/artifacts/SavedModelArtifact.h"

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>

#include "common/Error.h"
#include "engine/artifacts/primitives/PrimitiveSimplification.h"
#include "engine/artifacts/tensorflow/SavedModel.h"
#include "engine/artifacts/tensorflow/TensorflowInterpreter.h"
#include "engine/artifacts/tensorflow/TensorflowWriter.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr const char* kLeaveOut = ". Leave saved_model out of the hyperparameter export to train without that artifact";

WrittenFunction function_of(const Program& program) {
  try {
    return TensorflowWriter::write(primitives_of(program), program.graph());
  } catch (const InputError& error) {
    throw InputError(error.what() + std::string(kLeaveOut));
  }
}

TensorView view(const at::Tensor& tensor) {
  return {static_cast<ElementType>(scalar_type_to_archive(tensor.scalar_type())), tensor.sizes().vec(),
          tensor.strides().vec(), static_cast<const std::byte*>(tensor.const_data_ptr())};
}

// The tensor of each variable, in the program's own order of dimensions.
std::vector<at::Tensor> variables(const WrittenFunction& written, const Program& program) {
  std::map<std::string, at::Tensor> state;
  for (const StateTensor& entry : program.state()) state[entry.name] = entry.tensor;
  std::vector<at::Tensor> tensors;
  for (const TensorflowVariable& variable : written.function.variables) {
    tensors.push_back(state.at(variable.names.at(0)));
  }
  return tensors;
}

Artifact::Model model_of(const Program& program, TensorflowInterpreter interpreter, std::vector<std::size_t> places) {
  std::vector<std::string> names;
  for (const GraphInput* input : program.graph().user_inputs()) names.push_back(input->value);
  return
      [names, interpreter = std::move(interpreter), places = std::move(places)](const std::vector<at::Tensor>& inputs) {
        std::map<std::string, at::Tensor> by_name;
        for (std::size_t i = 0; i < inputs.size(); ++i) by_name[names.at(i)] = inputs[i];
        const std::vector<at::Tensor> returned = interpreter.run(by_name);
        std::vector<at::Tensor> outputs;
        for (const std::size_t place : places) outputs.push_back(returned.at(place));
        return outputs;
      };
}

}  // namespace

void SavedModelArtifact::check(const Program& program, const std::vector<Probe>& probes) const {
  const WrittenFunction written = function_of(program);
  const std::vector<at::Tensor> state = variables(written, program);
  std::map<std::string, at::Tensor> values;
  for (std::size_t i = 0; i < state.size(); ++i) {
    values[written.function.variables[i].argument] = state[i].detach().permute(written.variable_axes[i]);
  }
  const std::string wrong =
      difference(model_of(program, TensorflowInterpreter(written.function, values), written.output_places), probes);
  if (wrong.empty()) return;
  throw InputError("a TensorFlow SavedModel would not compute what the program " + program.name() +
                   " computes: " + wrong + kLeaveOut);
}

void SavedModelArtifact::write(const Program& program, const fs::path& directory) const {
  const WrittenFunction written = function_of(program);
  const std::vector<at::Tensor> state = variables(written, program);
  std::vector<TensorView> values;
  for (std::size_t i = 0; i < state.size(); ++i) {
    values.push_back(view(state[i]).permuted(written.variable_axes[i]));
  }
  write_saved_model(written.function, values, directory / entry());
}

Artifact::Model SavedModelArtifact::read_back(const Program& program, const fs::path& directory) const {
  const SavedModel model(directory / entry());
  const WrittenFunction written = function_of(program);
  if (model.function() != written.function) throw InternalError("the SavedModel holds another function");
  return model_of(program, TensorflowInterpreter(model), written.output_places);
}

}  // namespace lockstep

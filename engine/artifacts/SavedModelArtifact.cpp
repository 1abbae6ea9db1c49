#include "engine/artifacts/SavedModelArtifact.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/ModelCard.h"
#include "engine/artifacts/PrimitiveProgram.h"
#include "engine/artifacts/WeightQuantization.h"
#include "engine/artifacts/tensorflow/SavedModel.h"
#include "engine/artifacts/tensorflow/TensorflowInterpreter.h"
#include "engine/artifacts/tensorflow/TensorflowWriter.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr const char* kLeaveOut = ". Leave saved_model out of the hyperparameter export to do without that artifact";

/// A function, and where its variables' values are.
struct Served {
  PrimitiveProgram primitives;
  WrittenFunction written;

  /// The tensor of a variable, in the program's own order of dimensions.
  const at::Tensor& tensor(std::size_t variable) const {
    return primitives.tensor(written.function.variables[variable].names);
  }
};

// What classes are called: by their numbers where the data has fewer names than the program has scores.
std::vector<std::string> names_of(std::int64_t classes, std::vector<std::string> labels) {
  while (std::ssize(labels) < classes) labels.push_back(std::to_string(labels.size()));
  return labels;
}

std::optional<TensorflowClasses> classes_of(const WrittenFunction& written, const ArtifactOptions& options) {
  TensorflowClasses classes;
  const auto name = [&](std::size_t output) {
    const TensorflowTensor& scores = written.function.outputs.at(written.output_places.at(output));
    if (!options.labels.empty() && scores.sizes.size() == 2) classes.labels = names_of(scores.sizes[1], options.labels);
    return scores.name;
  };
  if (options.pixels) {
    name(0);
    if (options.decoded) {
      const std::vector<std::int64_t>& sizes = written.function.inputs.at(0).sizes;
      classes.decoding = {sizes.at(1), sizes.at(2), sizes.at(3), options.decoded == ImageCrop::kStretch};
    }
  } else if (options.scores) {
    classes.scores = name(*options.scores);
    if (classes.labels.empty()) return std::nullopt;
  }
  return classes == TensorflowClasses{} ? std::nullopt : std::optional(classes);
}

Served served(const Program& program, const ArtifactOptions& options) {
  try {
    PrimitiveProgram primitives = to_primitives(program);
    if (options.int8_weights) primitives = with_int8_weights(std::move(primitives));
    WrittenFunction written = TensorflowWriter::write(primitives.graph, program.graph());
    written.function.labels = !options.labels.empty();
    written.function.classes = classes_of(written, options);
    return {std::move(primitives), std::move(written)};
  } catch (const InputError& error) {
    throw InputError(error.what() + std::string(kLeaveOut));
  }
}

std::vector<std::string> input_names(const Program& program) {
  std::vector<std::string> names;
  for (const GraphInput* input : program.graph().user_inputs()) names.push_back(input->value);
  return names;
}

Artifact::Model model_of(std::vector<std::string> names, TensorflowInterpreter interpreter,
                         std::vector<std::size_t> places) {
  return [names = std::move(names), interpreter = std::move(interpreter),
          places = std::move(places)](const std::vector<at::Tensor>& inputs) {
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
  const Served model = served(program, options());
  const TensorflowFunction& function = model.written.function;
  std::map<std::string, at::Tensor> values;
  for (std::size_t i = 0; i < function.variables.size(); ++i) {
    values[function.variables[i].argument] = model.tensor(i).permute(model.written.variable_axes[i]);
  }
  const std::string wrong = difference(
      model_of(input_names(program), TensorflowInterpreter(function, values), model.written.output_places), probes);
  if (wrong.empty()) return;
  throw InputError("a TensorFlow SavedModel would not compute what the program " + program.name() +
                   " computes: " + wrong + kLeaveOut);
}

void SavedModelArtifact::write(const Program& program, const fs::path& directory) const {
  const Served model = served(program, options());
  std::vector<TensorView> values;
  for (std::size_t i = 0; i < model.written.function.variables.size(); ++i) {
    values.push_back(view_of(model.tensor(i)).permuted(model.written.variable_axes[i]));
  }
  write_saved_model(model.written.function, values, directory / entry(), one_a_line(options().labels));
}

Artifact::Model SavedModelArtifact::read_back(const Program& program, const fs::path& directory) const {
  const SavedModel model(directory / entry());
  const WrittenFunction written = served(program, options()).written;
  const auto require = [&](bool condition, const char* file, const char* what) {
    if (condition) return;
    throw SystemError((directory / entry() / file).string() + " was not written as it should be: it holds " + what);
  };
  require(model.function() == written.function, "saved_model.pb", "another function");
  require(model.labels() == one_a_line(options().labels), "assets/labels.txt", "other labels");
  return model_of(input_names(program), TensorflowInterpreter(model), written.output_places);
}

std::optional<Artifact::Model> SavedModelArtifact::open(const fs::path& directory, const ModelCard& card) const {
  const SavedModel model(directory / entry());
  std::vector<std::string> inputs;
  for (const ModelCard::Tensor& input : card.inputs) {
    if (std::ranges::find(model.function().inputs, input.name, &TensorflowTensor::name) ==
        model.function().inputs.end()) {
      throw InputError((directory / entry()).string() + " has no input " + in_quotes(input.name));
    }
    inputs.push_back(input.name);
  }
  std::vector<std::string> outputs;
  for (const ModelCard::Tensor& output : card.outputs) outputs.push_back(output.name);
  std::vector<std::size_t> places;
  for (const std::string& name : tensorflow_output_names(outputs)) {
    const auto found = std::ranges::find(model.function().outputs, name, &TensorflowTensor::name);
    if (found == model.function().outputs.end()) {
      throw InputError((directory / entry()).string() + " has no output " + in_quotes(name));
    }
    places.push_back(static_cast<std::size_t>(found - model.function().outputs.begin()));
  }
  return model_of(std::move(inputs), TensorflowInterpreter(model), std::move(places));
}

}  // namespace lockstep

#include "engine/artifacts/OnnxArtifact.h"

#include <ATen/Functions.h>

#include <span>
#include <utility>

#include "common/Error.h"
#include "engine/artifacts/PrimitiveProgram.h"
#include "engine/artifacts/WeightQuantization.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr const char* kWithout = ". Leave onnx out of the hyperparameter export to do without that artifact";

PrimitiveProgram lower_for_onnx(const Program& program, bool int8_weights) {
  try {
    return int8_weights ? with_int8_weights(to_primitives(program)) : to_primitives(program);
  } catch (const InputError& error) {
    throw InputError("the program " + program.name() + " cannot be written as an ONNX model: " + error.what() +
                     kWithout);
  }
}

// Runs `write`; what ONNX does not have is named as the program has it.
template <typename Write>
auto refusing(const Program& program, const Write& write) {
  try {
    return write();
  } catch (const OnnxRefusal& refusal) {
    throw InputError(describe(program.graph().nodes.at(refusal.origin())) +
                     " cannot be written into an ONNX model: " + refusal.what() + kWithout);
  }
}

// The model that a file is: its inputs and outputs are in the program's order.
Artifact::Model model_in(const fs::path& path) {
  const OnnxModel model(path);
  PrimitiveProgram read{model.graph(), {}};
  for (const PrimitiveState& state : read.graph.state) {
    const PrimitiveValue& value = read.graph.values.at(state.value.index);
    std::vector<std::int64_t> sizes;
    for (const Dimension& size : value.sizes) sizes.push_back(std::get<std::int64_t>(size));
    const at::Tensor tensor = at::empty(sizes, scalar_type_from_archive(static_cast<int>(value.type)));
    model.read(state, std::span(static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()));
    read.state.push_back(tensor);
  }
  return [path, run = make_model(std::move(read))](const std::vector<at::Tensor>& inputs) {
    try {
      return run(inputs);
    } catch (const InternalError& error) {  // the graph is the file's
      throw InputError(path.string() + " cannot be run: " + error.what());
    }
  };
}

}  // namespace

void OnnxArtifact::check(const Program& program, const std::vector<Probe>& probes) const {
  const PrimitiveProgram lowered = lower_for_onnx(program, options().int8_weights);
  PrimitiveProgram written{refusing(program, [&] { return as_onnx(lowered.graph); }), {}};
  for (const PrimitiveState& state : written.graph.state) written.state.push_back(lowered.tensor(state.names));
  const std::string wrong = difference(make_model(std::move(written)), probes);
  if (wrong.empty()) return;
  throw InputError("an ONNX model would not compute what the program " + program.name() + " computes: " + wrong +
                   kWithout);
}

void OnnxArtifact::write(const Program& program, const fs::path& directory) const {
  const PrimitiveProgram lowered = lower_for_onnx(program, options().int8_weights);
  OnnxOptions written{options().metadata, most_inline_};
  written.metadata["program"] = program.name();
  refusing(program, [&] { write_onnx(lowered.graph, lowered.views(), directory / entry(), written); });
}

std::optional<Artifact::Model> OnnxArtifact::open(const fs::path& directory, const ModelCard& /*card*/) const {
  return model_in(directory / entry());
}

Artifact::Model OnnxArtifact::read_back(const Program& /*program*/, const fs::path& directory) const {
  return model_in(directory / entry());
}

}  // namespace lockstep

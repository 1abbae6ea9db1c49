// primitive_cases DIRECTORY: writes each case of the table of primitives as a SavedModel, DIRECTORY/NUMBER/model/1,
// with its batches and what the engine computes for them, inputs0.safetensors (which has its name),
// outputs0.safetensors, …

#include <algorithm>
#include <iostream>

#include "common/Error.h"
#include "engine/artifacts/Safetensors.h"
#include "engine/artifacts/SavedModelArtifact.h"
#include "tests/support/PrimitiveCases.h"

namespace {

using namespace lockstep;

// TensorFlow's functions have an argument `self` in Python, which no input may be called.
Program without_self(const Program& program) {
  const std::string from = "self";
  const std::string to = "self_input";
  Graph graph = program.graph();
  if (!graph.find_sizes(from)) return program;
  graph.describe_as(to, from);
  for (GraphInput& input : graph.inputs) input.value = input.value == from ? to : input.value;
  for (std::string& output : graph.outputs) output = output == from ? to : output;
  for (Node& node : graph.nodes) {
    for (NamedArgument& argument : node.inputs) {
      if (auto* one = std::get_if<TensorName>(&argument.value)) one->name = one->name == from ? to : one->name;
      auto* several = std::get_if<TensorNames>(&argument.value);
      if (several) std::ranges::replace(several->names, std::optional(from), std::optional(to));
    }
  }
  return program.with_graph(graph);
}

void write(const PrimitiveCase& each, const std::filesystem::path& directory) {
  const Program program = without_self(each.program);
  std::filesystem::create_directories(directory / "model");
  const std::vector<Probe> probes = make_probes(program, each.batches);
  const std::vector<const GraphInput*> inputs = program.graph().user_inputs();
  const std::vector<std::string> outputs = program.graph().output_names();
  SavedModelArtifact().check(program, probes);
  SavedModelArtifact().write(program, directory / "model");
  for (std::size_t i = 0; i < probes.size(); ++i) {
    NamedTensors given;
    NamedTensors computed;
    for (std::size_t j = 0; j < inputs.size(); ++j) given[inputs[j]->value] = probes[i].inputs.at(j);
    for (std::size_t j = 0; j < outputs.size(); ++j) computed[outputs[j]] = probes[i].outputs.at(j);
    const std::string number = std::to_string(i) + ".safetensors";
    write_safetensors(given, {{"name", each.name}}, directory / ("inputs" + number));
    write_safetensors(computed, {}, directory / ("outputs" + number));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return lockstep::kExitBadInput;
  try {
    std::size_t number = 0;
    for (const lockstep::PrimitiveCase& each : lockstep::all_primitive_cases()) {
      const bool beyond = each.name.starts_with("conv") && each.name.ends_with("of nothing");
      if (beyond || each.name == "gru of open length") continue;
      write(each, std::filesystem::path(argv[1]) / std::to_string(number++));
    }
    return lockstep::kExitDone;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return lockstep::kExitInternal;
  }
}

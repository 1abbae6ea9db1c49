// primitives PROGRAM.pt2 INPUTS.safetensors: lowers a program to primitives and compares what an interpreter of them
// computes with what the engine does, at batches of 1, 2 and 7 of the inputs' samples and, where the program leaves it
// open, of several lengths, to 1e-9 in float64. Says how many primitives there are; with
// LOCKSTEP_SHOW set, shows them.

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cstdlib>
#include <iostream>

#include "common/Error.h"
#include "engine/artifacts/Artifact.h"
#include "engine/artifacts/Safetensors.h"
#include "engine/artifacts/primitives/PrimitiveDecompositions.h"
#include "engine/artifacts/primitives/PrimitiveInterpreter.h"
#include "engine/artifacts/primitives/PrimitiveLowering.h"
#include "engine/artifacts/primitives/PrimitiveSimplification.h"
#include "engine/artifacts/primitives/PrimitiveText.h"
#include "engine/program/Archive.h"
#include "engine/program/EvalForm.h"

namespace {

using namespace lockstep;

void compare(const std::string& what, const PrimitiveGraph& graph, const Program& program,
             const std::vector<Probe>& probes) {
  const PrimitiveInterpreter interpreter(graph, primitive_state(graph, program));
  for (const Probe& probe : probes) {
    const std::vector<at::Tensor> outputs = interpreter.run(probe.inputs);
    for (std::size_t i = 0; i < probe.outputs.size(); ++i) {
      const at::Tensor& expected = probe.outputs[i];
      if (outputs.at(i).scalar_type() == expected.scalar_type() && outputs[i].sizes() == expected.sizes() &&
          at::allclose(outputs[i], expected, 1e-9, 1e-9, /*equal_nan=*/true)) {
        continue;
      }
      throw InternalError(what + ": output " + graph.outputs[i].name + " differs");
    }
  }
  std::cout << what << ": " << graph.nodes.size() << " primitives\n";
}

void run(const char* path, const char* inputs_path) {
  const Program read = read_archive(path);
  const Program program = read.with_graph(eval_form(read.graph()));
  const NamedTensors given = read_safetensors(inputs_path);
  std::vector<Probe::Inputs> batches;
  for (const auto& [size, shorter] : {std::pair{1, 3}, {2, 0}, {7, 0}, {7, 1}}) {
    Probe::Inputs& inputs = batches.emplace_back();
    for (const GraphInput* input : program.graph().user_inputs()) {
      const std::vector<Dimension> sizes = program.graph().sizes(input->value);
      at::Tensor tensor = given.at(input->value).slice(0, 0, size);
      const bool open = sizes.size() > 1 && std::holds_alternative<std::string>(sizes[1]);
      if (open) tensor = tensor.slice(1, 0, tensor.size(1) - shorter);
      inputs.push_back(tensor.clone());
    }
  }
  const std::vector<Probe> probes = make_probes(program, batches);
  const PrimitiveGraph lowered = lower_to_primitives(program.graph());
  compare("lowered", lowered, program, probes);
  const PrimitiveGraph simple = primitives_of(program);
  compare("simplified", simple, program, probes);
  if (std::getenv("LOCKSTEP_SHOW") != nullptr) std::cout << to_text(simple);
  compare("decomposed", decompose(simple, [](const PrimitiveNode&) { return true; }), program, probes);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return lockstep::kExitBadInput;
  try {
    run(argv[1], argv[2]);
    return lockstep::kExitDone;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return lockstep::kExitInternal;
  }
}

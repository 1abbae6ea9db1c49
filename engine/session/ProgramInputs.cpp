#include "engine/session/ProgramInputs.h"

#include "engine/session/SampleSizes.h"

namespace lockstep {

std::vector<ProgramInput> program_inputs(const Graph& graph) {
  std::vector<ProgramInput> inputs;
  for (const GraphInput* input : graph.user_inputs()) {
    inputs.push_back({.name = input->value,
                      .type = static_cast<ElementType>(graph.scalar_type(input->value)),
                      .sizes = sample_sizes(graph, input->value)});
  }
  return inputs;
}

}  // namespace lockstep

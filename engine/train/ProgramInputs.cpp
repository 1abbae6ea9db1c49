#include "engine/train/ProgramInputs.h"

#include <cstdint>
#include <optional>
#include <variant>

namespace lockstep {

namespace {

// Of one sample, where all of them are fixed.
std::optional<std::vector<std::int64_t>> sample_sizes(const Graph& graph, const std::string& value) {
  const auto stated = graph.find_sizes(value);
  if (!stated || stated->empty()) return std::nullopt;
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 1; i < stated->size(); ++i) {
    const auto* size = std::get_if<std::int64_t>(&(*stated)[i]);
    if (size == nullptr) return std::nullopt;
    sizes.push_back(*size);
  }
  return sizes;
}

}  // namespace

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

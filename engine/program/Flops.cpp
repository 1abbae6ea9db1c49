#include "engine/program/Flops.h"

#include <vector>

#include "common/Error.h"
#include "engine/program/OperatorTraits.h"

namespace lockstep {

double forward_flops(const Graph& graph, std::int64_t batch_size) {
  const std::vector<const GraphInput*> inputs = graph.user_inputs();
  const std::vector<std::int64_t> sizes =
      inputs.empty() ? std::vector<std::int64_t>() : graph.example_sizes(inputs[0]->value);
  if (sizes.empty() || sizes[0] < 1) throw InputError("the program has no input with a batch dimension");
  double sum = 0;
  for (const Node& node : graph.nodes) {
    if (const MultiplyAdds count = operator_traits(node).multiply_adds) sum += count(graph, node);
  }
  return 2 * sum * static_cast<double>(batch_size) / static_cast<double>(sizes[0]);
}

double training_flops(const Graph& graph, std::int64_t batch_size) { return 3 * forward_flops(graph, batch_size); }

}  // namespace lockstep

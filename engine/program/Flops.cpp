#include "engine/program/Flops.h"

#include <functional>
#include <map>
#include <numeric>

#include "common/Error.h"

namespace lockstep {

namespace {

using Sizes = std::vector<std::int64_t>;

double product(const Sizes& sizes) { return std::accumulate(sizes.begin(), sizes.end(), 1.0, std::multiplies<>()); }

// Sizes of a node's argument, which has at least `dimensions`.
Sizes argument(const Graph& graph, const Node& node, const char* name, std::size_t dimensions) {
  Sizes sizes = graph.example_sizes(node.tensor(name));
  if (sizes.size() < dimensions) {
    throw InputError(describe(node) + ": its " + name + " has " + std::to_string(sizes.size()) + " dimensions, not " +
                     std::to_string(dimensions));
  }
  return sizes;
}

double multiply_adds(const Graph& graph, const Node& node) {
  // The left matrix, whose columns are summed over.
  static const std::map<std::string, const char*> products = {{"linear", "input"}, {"matmul", "self"},
                                                              {"mm", "self"},      {"bmm", "self"},
                                                              {"addmm", "mat1"},   {"baddbmm", "batch1"}};
  const std::string name = node.aten_name();
  if (const auto found = products.find(name); found != products.end()) {
    const double summed = static_cast<double>(argument(graph, node, found->second, 1).back());
    return product(graph.example_sizes(node.output())) * summed;
  }
  if (name.starts_with("conv")) {
    // A kernel is [to, from ÷ groups, …], and [from, to ÷ groups, …] when transposed.
    const Sizes kernel = argument(graph, node, "weight", 2);
    const bool transposed = name.starts_with("conv_transpose");
    const Sizes places = transposed ? argument(graph, node, "input", 2) : graph.example_sizes(node.output());
    return kernel[0] == 0 ? 0 : product(places) * product(kernel) / static_cast<double>(kernel[0]);
  }
  if (name == "scaled_dot_product_attention") {
    const Sizes query = argument(graph, node, "query", 2);
    const Sizes value = argument(graph, node, "value", 2);
    const double rows = product({query.begin(), query.end() - 1});
    return rows * static_cast<double>(value[value.size() - 2]) * static_cast<double>(query.back() + value.back());
  }
  return 0;
}

}  // namespace

double forward_flops(const Graph& graph, std::int64_t batch_size) {
  const std::vector<const GraphInput*> inputs = graph.user_inputs();
  const Sizes sizes = inputs.empty() ? Sizes() : graph.example_sizes(inputs[0]->value);
  if (sizes.empty() || sizes[0] < 1) throw InputError("the program has no input with a batch dimension");
  double sum = 0;
  for (const Node& node : graph.nodes) sum += multiply_adds(graph, node);
  return 2 * sum * static_cast<double>(batch_size) / static_cast<double>(sizes[0]);
}

double training_flops(const Graph& graph, std::int64_t batch_size) { return 3 * forward_flops(graph, batch_size); }

}  // namespace lockstep

#include "engine/program/MultiplyAdds.h"

#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

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

double matrix_product(const Graph& graph, const Node& node, const char* left) {
  const auto summed = static_cast<double>(argument(graph, node, left, 1).back());
  return product(graph.example_sizes(node.output())) * summed;
}

// Each place is multiplied with the kernel of one channel.
double convolution(const Graph& graph, const Node& node, const Sizes& places) {
  const Sizes kernel = argument(graph, node, "weight", 2);
  return kernel[0] == 0 ? 0 : product(places) * product(kernel) / static_cast<double>(kernel[0]);
}

}  // namespace

double multiply_adds_of_linear(const Graph& graph, const Node& node) { return matrix_product(graph, node, "input"); }

double multiply_adds_of_product(const Graph& graph, const Node& node) { return matrix_product(graph, node, "self"); }

double multiply_adds_of_added_product(const Graph& graph, const Node& node) {
  return matrix_product(graph, node, node.find("mat1") ? "mat1" : "batch1");
}

double multiply_adds_of_convolution(const Graph& graph, const Node& node) {
  return convolution(graph, node, graph.example_sizes(node.output()));
}

double multiply_adds_of_transposed_convolution(const Graph& graph, const Node& node) {
  return convolution(graph, node, argument(graph, node, "input", 2));
}

double multiply_adds_of_attention(const Graph& graph, const Node& node) {
  const Sizes query = argument(graph, node, "query", 2);
  const Sizes value = argument(graph, node, "value", 2);
  const double rows = product({query.begin(), query.end() - 1});
  return rows * static_cast<double>(value[value.size() - 2]) * static_cast<double>(query.back() + value.back());
}

}  // namespace lockstep

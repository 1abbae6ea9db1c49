#include "engine/program/MultiplyAdds.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"

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

// All but the last dimension.
double rows_of(const Sizes& sizes) { return product({sizes.begin(), sizes.end() - 1}); }

std::vector<Sizes> argument_list(const Graph& graph, const Node& node, const char* name) {
  const Argument* found = node.find(name);
  const auto* tensors = found ? std::get_if<TensorNames>(found) : nullptr;
  if (tensors == nullptr) throw InputError(describe(node) + ": its " + name + " is no list of tensors");
  std::vector<Sizes> all;
  for (const std::optional<std::string>& tensor : tensors->names) {
    if (tensor) all.push_back(graph.example_sizes(*tensor));
  }
  return all;
}

/// An operand of einsum: the size of each of its labels. The dimensions of "..." are the labels 0, 1, … from the right.
using Labelled = std::map<char, double>;

Labelled labelled(const std::string& text, const Sizes& sizes, const Node& node) {
  const std::size_t dots = text.find("...");
  const std::size_t named = text.size() - (dots == std::string::npos ? 0 : 3);
  if (named > sizes.size() || (dots == std::string::npos && named != sizes.size())) {
    throw InputError(describe(node) + ": " + in_quotes(text) + " does not name [" + join(sizes, ", ") + "]");
  }
  std::string labels = text;
  if (dots != std::string::npos) {
    std::string others;
    for (std::size_t i = sizes.size() - named; i-- > 0;) others += static_cast<char>(i);
    labels.replace(dots, 3, others);
  }
  Labelled operand;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    operand[labels[i]] = std::max(operand[labels[i]], static_cast<double>(sizes[i]));
  }
  return operand;
}

bool is_label(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The labels that stay, where the equation does not say: those that come once, and the dimensions of "...".
std::string implied_result(const std::string& operands) {
  std::string kept = operands.find("...") == std::string::npos ? "" : "...";
  for (const char c : operands) {
    if (is_label(c) && std::ranges::count(operands, c) == 1) kept += c;
  }
  return kept;
}

}  // namespace

double multiply_adds_of_linear(const Graph& graph, const Node& node) { return matrix_product(graph, node, "input"); }

double multiply_adds_of_product(const Graph& graph, const Node& node) { return matrix_product(graph, node, "self"); }

double multiply_adds_of_added_product(const Graph& graph, const Node& node) {
  return matrix_product(graph, node, node.find("mat1") ? "mat1" : node.find("mat") ? "mat" : "batch1");
}

double multiply_adds_of_added_batch(const Graph& graph, const Node& node) {
  return product(argument(graph, node, "batch1", 3)) * static_cast<double>(argument(graph, node, "batch2", 3).back());
}

double multiply_adds_of_tensordot(const Graph& graph, const Node& node) {
  const Sizes left = argument(graph, node, "self", 0);
  const Argument* dimensions = node.find("dims_self");
  const auto* summed = dimensions ? std::get_if<Sizes>(dimensions) : nullptr;
  double count = product(left) * product(argument(graph, node, "other", 0));
  if (summed == nullptr || count == 0) return 0;
  for (const std::int64_t dimension : *summed) {
    const std::int64_t place = dimension < 0 ? dimension + std::ssize(left) : dimension;
    count /= static_cast<double>(left.at(static_cast<std::size_t>(place)));
  }
  return count;
}

double multiply_adds_of_einsum(const Graph& graph, const Node& node) {
  const Argument* found = node.find("equation");
  const auto* equation = found ? std::get_if<std::string>(found) : nullptr;
  if (equation == nullptr) throw InputError(describe(node) + " has no equation");
  std::string text = *equation;
  std::erase(text, ' ');
  const std::size_t arrow = text.find("->");
  const std::string operands = text.substr(0, arrow);
  const std::vector<std::string> terms = split(operands, ',');
  const std::vector<Sizes> sizes = argument_list(graph, node, "tensors");
  if (terms.size() != sizes.size()) {
    throw InputError(describe(node) + ": " + in_quotes(*equation) + " is not of " + std::to_string(sizes.size()) +
                     " operands");
  }
  const std::string result = arrow == std::string::npos ? implied_result(operands) : text.substr(arrow + 2);
  double count = 0;
  Labelled left = labelled(terms[0], sizes[0], node);
  for (std::size_t i = 1; i < terms.size(); ++i) {
    Labelled right = labelled(terms[i], sizes[i], node);
    std::string later = result;
    for (std::size_t j = i + 1; j < terms.size(); ++j) later += terms[j];
    Labelled both = left;
    for (const auto& [label, size] : right) both[label] = std::max(both[label], size);
    Labelled kept;
    double places = 1;
    double summed = 1;
    for (const auto& [label, size] : both) {
      if (later.find(is_label(label) ? std::string(1, label) : "...") != std::string::npos) {
        kept[label] = size;
        places *= size;
      } else if (left.contains(label) && right.contains(label)) {
        summed *= size;
      }
    }
    if (summed != 1) count += places * summed;
    left = std::move(kept);
  }
  return count;
}

double multiply_adds_of_bilinear(const Graph& graph, const Node& node) {
  const Sizes weight = argument(graph, node, "weight", 3);
  const double rows = rows_of(argument(graph, node, "input1", 1));
  return rows * (product(weight) + static_cast<double>(weight[0] * weight[2]));
}

double multiply_adds_of_recurrent_layers(const Graph& graph, const Node& node) {
  double matrices = 0;
  for (const Sizes& sizes : argument_list(graph, node, "params")) {
    if (sizes.size() == 2) matrices += product(sizes);
  }
  return rows_of(argument(graph, node, node.find("input") ? "input" : "data", 1)) * matrices;
}

double multiply_adds_of_recurrent_cell(const Graph& graph, const Node& node) {
  return rows_of(argument(graph, node, "input", 1)) *
         (product(argument(graph, node, "w_ih", 2)) + product(argument(graph, node, "w_hh", 2)));
}

double multiply_adds_of_convolution(const Graph& graph, const Node& node) {
  const Argument* found = node.find("transposed");
  const bool* transposed = found ? std::get_if<bool>(found) : nullptr;
  if (transposed != nullptr && *transposed) return multiply_adds_of_transposed_convolution(graph, node);
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

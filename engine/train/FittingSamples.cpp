#include "engine/train/FittingSamples.h"

#include <algorithm>
#include <optional>
#include <set>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/OperatorTraits.h"
#include "engine/program/Program.h"

namespace lockstep {

namespace {

constexpr std::int64_t kMostNumbers = std::int64_t{1} << 32;  // of one sample

// The sizes behind the batch dimension.
std::vector<std::int64_t> sample_sizes(const Graph& graph, const std::string& value) {
  const std::vector<Dimension> dimensions = graph.sizes(value);
  if (dimensions.empty()) throw InputError("synthetic data needs a batch dimension, and " + value + " has none");
  std::vector<std::int64_t> sizes;
  std::int64_t numbers = 1;
  for (std::size_t i = 1; i < dimensions.size(); ++i) {
    const auto* size = std::get_if<std::int64_t>(&dimensions[i]);
    if (!size) {
      throw InputError("synthetic data needs to know all sizes but the batch's; dimension " + std::to_string(i) +
                       " of " + value + " is " + in_quotes(std::get<std::string>(dimensions[i])) +
                       ": export the program with a fixed size there");
    }
    if (*size < 1 || *size > kMostNumbers / numbers) {
      throw InputError("synthetic data cannot be of the sizes of " + value + ": dimension " + std::to_string(i) +
                       " is " + std::to_string(*size));
    }
    numbers *= *size;
    sizes.push_back(*size);
  }
  return sizes;
}

// How many integers a node of bounded inputs takes, or nothing where it says no number.
std::optional<std::int64_t> count_of(const Graph& graph, const Node& node, const IntegerBound& bound) {
  std::optional<std::int64_t> count;
  if (!bound.table.empty()) {
    const std::vector<Dimension> table = graph.sizes(node.tensor(bound.table));
    if (!table.empty() && std::holds_alternative<std::int64_t>(table[0])) count = std::get<std::int64_t>(table[0]);
  } else if (const Argument* given = node.find(bound.argument)) {
    if (const auto* known = std::get_if<std::int64_t>(given)) count = *known;
  }
  return count && *count > 0 ? count : std::nullopt;
}

// The smallest count that bounds the tokens, or what keeps their values.
std::int64_t vocabulary_of(const Graph& graph, const std::string& input) {
  std::set<std::string> tokens = {input};
  std::int64_t vocabulary = 0;
  for (const Node& node : graph.nodes) {
    const OperatorTraits& traits = operator_traits(node);
    if (traits.keeps_values && tokens.contains(node.tensor("self"))) tokens.insert(node.output());
    if (!traits.bound || !tokens.contains(node.tensor(traits.bound->input))) continue;
    const std::optional<std::int64_t> count = count_of(graph, node, *traits.bound);
    if (count) vocabulary = vocabulary == 0 ? *count : std::min(vocabulary, *count);
  }
  if (vocabulary > 0) return vocabulary;
  throw InputError("synthetic data cannot know what integers to give the input " + input +
                   ": no embedding reads it. Look the tokens up in an embedding table, or make the input float32");
}

}  // namespace

SampleShape fitting_samples(const Graph& graph, bool class_labels) {
  const std::string input = graph.user_inputs().at(0)->value;
  SampleShape shape = {.input = sample_sizes(graph, input), .target = sample_sizes(graph, graph.outputs.at(0))};
  const at::ScalarType type = scalar_type_from_archive(graph.scalar_type(input));
  if (type == at::kLong) {
    shape.vocabulary = vocabulary_of(graph, input);
  } else if (type != at::kFloat && type != at::kDouble) {
    throw InputError("synthetic data is int64, float32 or float64, and the input " + input + " is " +
                     c10::toString(type));
  }
  shape.class_labels = class_labels;
  if (shape.class_labels) {
    if (shape.target.empty()) {
      throw InputError("a loss of class labels takes outputs [batch, …, classes], and " + graph.outputs[0] +
                       " is [batch]");
    }
    shape.classes = shape.target.back();
    shape.target.pop_back();
  }
  return shape;
}

}  // namespace lockstep

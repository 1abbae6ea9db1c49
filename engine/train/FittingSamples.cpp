#include "engine/train/FittingSamples.h"

#include <algorithm>
#include <set>

#include "common/Error.h"
#include "common/Text.h"
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

// The rows of the smallest table that the tokens look up.
std::int64_t vocabulary_of(const Graph& graph, const std::string& input) {
  static const std::set<std::string> views = {"alias",     "clone",    "contiguous", "detach", "expand",  "flatten",
                                              "permute",   "reshape",  "select",     "slice",  "squeeze", "to",
                                              "transpose", "_to_copy", "unsqueeze",  "view"};
  std::set<std::string> tokens = {input};
  std::int64_t vocabulary = 0;
  for (const Node& node : graph.nodes) {
    const std::string name = node.aten_name();
    if (views.contains(name) && tokens.contains(node.tensor("self"))) {
      tokens.insert(node.output());
    }
    if (name != "embedding" || !tokens.contains(node.tensor("indices"))) continue;
    const std::vector<Dimension> table = graph.sizes(node.tensor("weight"));
    const auto* rows = table.empty() ? nullptr : std::get_if<std::int64_t>(&table[0]);
    if (rows && *rows > 0) vocabulary = vocabulary == 0 ? *rows : std::min(vocabulary, *rows);
  }
  if (vocabulary > 0) return vocabulary;
  throw InputError("synthetic data cannot know what integers to give the input " + input +
                   ": no embedding reads it. Look the tokens up in an embedding table, or make the input float32");
}

}  // namespace

SampleShape fitting_samples(const Graph& graph, Loss loss) {
  const std::string input = graph.user_inputs().at(0)->value;
  SampleShape shape = {.input = sample_sizes(graph, input), .target = sample_sizes(graph, graph.outputs.at(0))};
  const at::ScalarType type = scalar_type_from_archive(graph.scalar_type(input));
  if (type == at::kLong) {
    shape.vocabulary = vocabulary_of(graph, input);
  } else if (type != at::kFloat && type != at::kDouble) {
    throw InputError("synthetic data is int64, float32 or float64, and the input " + input + " is " +
                     c10::toString(type));
  }
  shape.class_labels = loss == Loss::kCrossEntropy;
  if (shape.class_labels) {
    if (shape.target.empty()) {
      throw InputError("cross_entropy takes outputs [batch, …, classes], and " + graph.outputs[0] + " is [batch]");
    }
    shape.classes = shape.target.back();
    shape.target.pop_back();
  }
  return shape;
}

}  // namespace lockstep

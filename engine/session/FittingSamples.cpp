#include "engine/session/FittingSamples.h"

#include <algorithm>
#include <optional>
#include <set>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/OperatorTraits.h"
#include "engine/session/SampleSizes.h"

namespace lockstep {

namespace {

constexpr std::int64_t kMostNumbers = std::int64_t{1} << 32;  // of one sample

[[noreturn]] void refuse_sizes(const Graph& graph, const std::string& value) {
  const std::vector<Dimension> dimensions = graph.sizes(value);
  if (dimensions.empty()) throw InputError("synthetic data needs a batch dimension, and " + value + " has none");
  const auto open = std::ranges::find_if(dimensions.begin() + 1, dimensions.end(), [](const Dimension& dimension) {
    return std::holds_alternative<std::string>(dimension);
  });
  throw InputError("synthetic data needs to know all sizes but the batch's; dimension " +
                   std::to_string(open - dimensions.begin()) + " of " + value + " is " +
                   in_quotes(std::get<std::string>(*open)) + ": export the program with a fixed size there");
}

std::vector<std::int64_t> fixed_sizes(const Graph& graph, const std::string& value, Unsaid unsaid) {
  auto sizes = sample_sizes(graph, value);
  if (!sizes && unsaid == Unsaid::kGuessed && !graph.sizes(value).empty()) {
    const std::vector<std::int64_t> example = graph.example_sizes(value);
    sizes.emplace(example.begin() + 1, example.end());
  }
  if (!sizes) refuse_sizes(graph, value);
  std::int64_t numbers = 1;
  for (std::size_t i = 0; i < sizes->size(); ++i) {
    const std::int64_t size = (*sizes)[i];
    if (size < 1 || size > kMostNumbers / numbers) {
      throw InputError("synthetic data cannot be of the sizes of " + value + ": dimension " + std::to_string(i + 1) +
                       " is " + std::to_string(size));
    }
    numbers *= size;
  }
  return *sizes;
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

// What an input may hold.
Field input_field(const Graph& graph, const std::string& input, Unsaid unsaid) {
  Field field{.name = input,
              .type = static_cast<ElementType>(graph.scalar_type(input)),
              .sizes = fixed_sizes(graph, input, unsaid)};
  switch (field.type) {
    case ElementType::kFloat:
    case ElementType::kDouble:
      return field;
    case ElementType::kBool:
      field.bound = 2;
      return field;
    case ElementType::kInt64:
    case ElementType::kInt32:
      break;
    default:
      throw InputError("synthetic data is int64, int32, bool, float32 or float64, and the input " + input + " is " +
                       to_string(field.type));
  }
  const auto vocabulary = find_safe_vocabulary(graph, input);
  if (!vocabulary && unsaid == Unsaid::kRefused) {
    throw InputError("synthetic data cannot know what integers to give the input " + input +
                     ": no embedding reads it. Look the tokens up in an embedding table, or make the input float32");
  }
  field.bound = vocabulary.value_or(2);
  return field;
}

// Exporters write slices that leave nothing out.
bool keeps_all(const Graph& graph, const Node& node, Keeps keeps) {
  if (keeps != Keeps::kSome) return keeps == Keeps::kAll;
  const auto before = graph.find_sizes(node.tensor("self"));
  return before && before == graph.find_sizes(node.output());
}

// The smallest count of what holds the input's integers: all of them, or with `parts` some.
std::optional<std::int64_t> smallest_count(const Graph& graph, const std::string& input, bool parts) {
  std::set<std::string> tokens = {input};
  std::optional<std::int64_t> vocabulary;
  for (const Node& node : graph.nodes) {
    const OperatorTraits& traits = operator_traits(node);
    if (traits.keeps != Keeps::kOther && tokens.contains(node.tensor("self")) &&
        (parts || keeps_all(graph, node, traits.keeps))) {
      tokens.insert(node.output());
    }
    if (!traits.bound || !tokens.contains(node.tensor(traits.bound->input))) continue;
    const std::optional<std::int64_t> count = count_of(graph, node, *traits.bound);
    if (count) vocabulary = vocabulary ? std::min(*vocabulary, *count) : *count;
  }
  return vocabulary;
}

}  // namespace

std::optional<std::int64_t> find_vocabulary(const Graph& graph, const std::string& input) {
  return smallest_count(graph, input, /*parts=*/false);
}

std::optional<std::int64_t> find_safe_vocabulary(const Graph& graph, const std::string& input) {
  return smallest_count(graph, input, /*parts=*/true);
}

SampleSpec fitting_inputs(const Graph& graph, Unsaid unsaid) {
  SampleSpec spec;
  for (const GraphInput* input : graph.user_inputs()) spec.fields.push_back(input_field(graph, input->value, unsaid));
  return spec;
}

SampleSpec fitting_samples(const Graph& graph, const std::string& output, bool class_labels) {
  SampleSpec spec = fitting_inputs(graph, Unsaid::kRefused);
  if (output.empty()) return spec;
  const bool doubles = static_cast<ElementType>(graph.scalar_type(output)) == ElementType::kDouble;
  Field target{.name = "targets",
               .type = doubles ? ElementType::kDouble : ElementType::kFloat,
               .sizes = fixed_sizes(graph, output, Unsaid::kRefused)};
  if (class_labels) {
    if (target.sizes.empty()) {
      throw InputError("a loss of class labels takes outputs [batch, …, classes], and " + output + " is [batch]");
    }
    target.type = ElementType::kInt64;
    target.bound = target.sizes.back();
    target.sizes.pop_back();
  }
  spec.fields.push_back(target);
  return spec;
}

}  // namespace lockstep

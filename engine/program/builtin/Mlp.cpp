#include "engine/program/builtin/Mlp.h"

#include <algorithm>
#include <cmath>

#include "common/Error.h"
#include "engine/program/Layers.h"

namespace lockstep {

namespace {

// As fastai has it: min(600, 1.6·n^0.56).
std::int64_t usual_width(std::int64_t count) {
  return std::min<std::int64_t>(600, std::llround(1.6 * std::pow(static_cast<double>(count), 0.56)));
}

std::vector<BuiltinInput> inputs_of_mlp(const BuiltinOptions& options) {
  std::vector<BuiltinInput> inputs = one_input_of_numbers(options);
  if (options.embeddings.empty()) return inputs;
  inputs[0].optional = true;
  inputs[0].also = {"features", "inputs"};
  for (const auto& [column, sizes] : options.embeddings) inputs.push_back({.name = column, .integers = true});
  return inputs;
}

GraphValue embedded(GraphBuilder& graph, const BuiltinOptions& options, const std::string& column,
                    const EmbeddedColumn& sizes) {
  const auto found = options.counts.find(column);
  const std::int64_t count = sizes.count > 0 || found == options.counts.end() ? sizes.count : found->second;
  if (count < 1) {
    throw InputError("the column " + column +
                     " is to be embedded, and it is not known how many different integers it has: say so, as in "
                     "model_embeddings=" +
                     column + "=1000x16, with the width behind");
  }
  const GraphValue table =
      graph.parameter("embeddings." + column + ".weight", {count, sizes.width > 0 ? sizes.width : usual_width(count)},
                      initial::normal(1));
  return layers::embedding(graph, graph.input(column, {}, at::kLong), table);
}

GraphValue build_mlp(GraphBuilder& graph, const BuiltinOptions& options) {
  std::vector<GraphValue> parts;
  if (options.embeddings.empty() || options.has("x")) {
    const GraphValue x = graph.input("x", options.input_shape);
    parts.push_back(x.sizes.size() == 1 ? x : layers::flatten(graph, x));
  }
  for (const auto& [column, sizes] : options.embeddings) parts.push_back(embedded(graph, options, column, sizes));
  return linear_layers(graph, parts.size() == 1 ? parts[0] : layers::cat(graph, parts, 0), options);
}

}  // namespace

GraphValue linear_layers(GraphBuilder& graph, GraphValue x, const BuiltinOptions& options) {
  if (x.sizes.size() != 1) x = layers::flatten(graph, x);
  for (std::size_t i = 0; i < options.hidden.size(); ++i) {
    x = layers::relu(graph, layers::linear(graph, x, "fc" + std::to_string(i + 1), {.features = options.hidden[i]}));
    x = layers::dropout(graph, x, options.dropout);
  }
  return layers::linear(graph, x, "fc" + std::to_string(options.hidden.size() + 1), {.features = options.classes});
}

BuiltinProgram mlp_program() { return {.name = "mlp", .inputs = inputs_of_mlp, .build = build_mlp}; }

}  // namespace lockstep

#include "engine/program/Layers.h"
#include "engine/program/builtin/Mlp.h"

namespace lockstep {

namespace {

// [conv 3×3 → batch norm → relu → max-pool 2 → dropout] for each channel count, and then as mlp.
GraphValue build_cnn(GraphBuilder& graph, const BuiltinOptions& options) {
  GraphValue x = graph.input("x", options.input_shape);
  for (std::size_t i = 0; i < options.channels.size(); ++i) {
    const std::string block = "block" + std::to_string(i + 1);
    x = layers::conv2d(graph, x, block + ".conv", {.channels = options.channels[i], .kernel = 3, .padding = 1});
    if (options.batch_norm) x = layers::batch_norm(graph, x, block + ".norm");
    x = layers::max_pool2d(graph, layers::relu(graph, x), 2, 2);
    x = layers::dropout(graph, x, options.dropout);
  }
  return linear_layers(graph, x, options);
}

}  // namespace

BuiltinProgram cnn_program() { return {.name = "cnn", .inputs = one_input_of_numbers, .build = build_cnn}; }

}  // namespace lockstep

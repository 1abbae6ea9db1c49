#include <cmath>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/builtin/Transformer.h"

namespace lockstep {

namespace {

// A row of patches, [patches, width], with the class token before them.
GraphValue patches(GraphBuilder& graph, const BuiltinOptions& options) {
  const GraphValue x = graph.input("x", options.input_shape);
  const std::int64_t size = options.patch_size;
  if (x.sizes.size() != 3 || x.sizes[1] % size != 0 || x.sizes[2] % size != 0) {
    throw InputError("vit cuts images [channels, height, width] into patches of " + std::to_string(size) + " × " +
                     std::to_string(size) + " pixels, and samples are of sizes [" + join(x.sizes, ", ") +
                     "]: give a model_patch_size that divides rows and columns");
  }
  const double fan_in = static_cast<double>(x.sizes[0] * size * size);
  const GraphValue token = graph.parameter("class_token", {1, 1, options.width}, initial::constant(0));
  GraphValue row = layers::conv2d(graph, x, "conv_proj",
                                  {.channels = options.width,
                                   .kernel = size,
                                   .stride = size,
                                   .weights = initial::truncated_normal(std::sqrt(1 / fan_in)),
                                   .biases = initial::constant(0)});
  row = layers::reshape(graph, row, {options.width, row.sizes[1] * row.sizes[2]});
  row = layers::permute(graph, row, {1, 0});
  return layers::cat(graph, {layers::expand_to_batch(graph, token), row}, 0);
}

// xavier_uniform_ of a weight [out, in].
Initial xavier(std::int64_t in, std::int64_t out) {
  return initial::uniform(std::sqrt(6 / static_cast<double>(in + out)));
}

GraphValue encoder_layer(GraphBuilder& graph, const GraphValue& x, const std::string& name,
                         const BuiltinOptions& options) {
  const std::int64_t width = options.width;
  const std::int64_t wide = options.widened();
  GraphValue y = layers::layer_norm(graph, x, name + "ln_1", 1e-6);
  const std::string attention = name + "self_attention.";
  const GraphValue weight = graph.parameter(attention + "in_proj_weight", {3 * width, width}, xavier(width, 3 * width));
  const GraphValue bias = graph.parameter(attention + "in_proj_bias", {3 * width}, initial::constant(0));
  y = packed_attention(graph, layers::linear(graph, y, weight, &bias), options.heads, {.dropout = options.dropout});
  y = layers::linear(graph, y, attention + "out_proj", {.features = width, .biases = initial::constant(0)});
  y = layers::add(graph, layers::dropout(graph, y, options.dropout), x);
  GraphValue z = layers::layer_norm(graph, y, name + "ln_2", 1e-6);
  const auto dense = [&](const char* number, std::int64_t in, std::int64_t out) {
    z = layers::linear(graph, z, name + "mlp." + number,
                       {.features = out, .weights = xavier(in, out), .biases = initial::normal(1e-6)});
  };
  dense("0", width, wide);
  z = layers::dropout(graph, layers::gelu(graph, z, "none"), options.dropout);
  dense("3", wide, width);
  return layers::add(graph, y, layers::dropout(graph, z, options.dropout));
}

// Dosovitskiy et al. 2020, "An Image is Worth 16x16 Words", as torchvision's vision_transformer.py has it.
GraphValue build_vit(GraphBuilder& graph, const BuiltinOptions& options) {
  require_heads(options);
  GraphValue x = patches(graph, options);
  const GraphValue places =
      graph.parameter("encoder.pos_embedding", {1, x.sizes[0], options.width}, initial::normal(0.02));
  x = layers::dropout(graph, layers::add(graph, x, places), options.dropout);
  for (std::int64_t i = 0; i < options.layers; ++i) {
    x = encoder_layer(graph, x, "encoder.layers.encoder_layer_" + std::to_string(i) + ".", options);
  }
  x = layers::select(graph, layers::layer_norm(graph, x, "encoder.ln", 1e-6), 0, 0);
  return layers::linear(graph, x, "heads.head",
                        {.features = options.classes, .weights = initial::constant(0), .biases = initial::constant(0)});
}

}  // namespace

BuiltinProgram vit_program() {
  return {
      .name = "vit", .inputs = one_input_of_numbers, .build = build_vit, .without_data = [](BuiltinOptions& options) {
        options.input_shape = {3, 224, 224};
        options.classes = 1000;
      }};
}

}  // namespace lockstep

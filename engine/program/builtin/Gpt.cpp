#include <cmath>

#include "engine/program/builtin/Transformer.h"

namespace lockstep {

namespace {

constexpr double kGptDeviation = 0.02;
constexpr double kGptEpsilon = 1e-5;

GraphValue dense(GraphBuilder& graph, const GraphValue& x, const std::string& name, std::int64_t features,
                 double deviation = kGptDeviation) {
  return layers::linear(graph, x, name,
                        {.features = features,
                         .transposed = true,
                         .weights = initial::normal(deviation),
                         .biases = initial::constant(0)});
}

GraphValue gpt_block(GraphBuilder& graph, const GraphValue& x, const std::string& name, const BuiltinOptions& options) {
  const double of_residuals = kGptDeviation / std::sqrt(2.0 * static_cast<double>(options.layers));
  GraphValue y =
      dense(graph, layers::layer_norm(graph, x, name + "ln_1", kGptEpsilon), name + "attn.c_attn", 3 * options.width);
  y = packed_attention(graph, y, options.heads, {.dropout = options.dropout, .causal = true});
  y = layers::dropout(graph, dense(graph, y, name + "attn.c_proj", options.width, of_residuals), options.dropout);
  y = layers::add(graph, y, x);
  GraphValue z =
      dense(graph, layers::layer_norm(graph, y, name + "ln_2", kGptEpsilon), name + "mlp.c_fc", options.widened());
  z = dense(graph, layers::gelu(graph, z, "tanh"), name + "mlp.c_proj", options.width, of_residuals);
  return layers::add(graph, y, layers::dropout(graph, z, options.dropout));
}

// Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", as transformers' GPT2LMHeadModel has it,
// whose weights of c_attn, c_fc and c_proj are [in, out].
GraphValue build_gpt(GraphBuilder& graph, const BuiltinOptions& options) {
  require_heads(options);
  const GraphValue ids = text_input(graph, "input_ids", options);
  const GraphValue table = graph.parameter("transformer.wte.weight", {vocabulary(options, "input_ids"), options.width},
                                           initial::normal(kGptDeviation));
  const GraphValue places =
      graph.parameter("transformer.wpe.weight", {positions(options), options.width}, initial::normal(kGptDeviation));
  GraphValue x = layers::add(graph, layers::embedding(graph, ids, table), layers::first(graph, places, ids.sizes[0]));
  x = layers::dropout(graph, x, options.dropout);
  for (std::int64_t i = 0; i < options.layers; ++i) {
    x = gpt_block(graph, x, "transformer.h." + std::to_string(i) + ".", options);
  }
  x = layers::layer_norm(graph, x, "transformer.ln_f", kGptEpsilon);
  return layers::linear(graph, x, graph.tied("lm_head.weight", table), nullptr);
}

std::vector<BuiltinInput> inputs_of_gpt(const BuiltinOptions&) {
  return {{.name = "input_ids", .integers = true, .also = {"tokens"}}};
}

}  // namespace

BuiltinProgram gpt_program() {
  return {.name = "gpt",
          .inputs = inputs_of_gpt,
          .build = build_gpt,
          .predicts_tokens = true,
          .without_data = [](BuiltinOptions& options) {
            options.input_shape = {1024};
            options.counts["input_ids"] = 50257;
          }};
}

}  // namespace lockstep

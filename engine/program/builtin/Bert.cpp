#include "engine/program/builtin/Transformer.h"

namespace lockstep {

namespace {

constexpr double kBertDeviation = 0.02;
constexpr double kBertEpsilon = 1e-12;
constexpr std::int64_t kPaddingToken = 0;  // the token whose row stays 0
constexpr std::int64_t kTokenTypes = 2;    // of tokens

class Bert {
 public:
  Bert(GraphBuilder& graph, const BuiltinOptions& options) : graph_(graph), options_(options) {}

  GraphValue build() {
    const GraphValue ids = text_input(graph_, "input_ids", options_);
    GraphValue mask;
    if (options_.has("attention_mask")) mask = graph_.input("attention_mask", ids.sizes, at::kLong);
    GraphValue types;
    if (options_.has("token_type_ids")) types = graph_.input("token_type_ids", ids.sizes, at::kLong);
    GraphValue x = embeddings(ids, types);
    if (!mask.name.empty()) {  // [1, 1, keys]
      mask = layers::is_not_zero(graph_, mask);
      for (int i = 0; i < 2; ++i) mask = layers::unsqueeze(graph_, mask, 0, at::kBool);
    }
    for (std::int64_t i = 0; i < options_.layers; ++i) {
      x = layer(x, "bert.encoder.layer." + std::to_string(i) + ".", mask.name.empty() ? nullptr : &mask);
    }
    x = layers::tanh(graph_, dense(layers::select(graph_, x, 0, 0), "bert.pooler.dense", options_.width));
    return dense(layers::dropout(graph_, x, options_.dropout), "classifier", options_.classes);
  }

 private:
  GraphValue dense(const GraphValue& x, const std::string& name, std::int64_t features) {
    return layers::linear(
        graph_, x, name,
        {.features = features, .weights = initial::normal(kBertDeviation), .biases = initial::constant(0)});
  }

  GraphValue table(const char* name, std::int64_t rows, const Initial& initial) {
    return graph_.parameter(std::string("bert.embeddings.") + name + "_embeddings.weight", {rows, options_.width},
                            initial);
  }

  // `types`: without a name where all tokens are of the first type.
  GraphValue embeddings(const GraphValue& ids, const GraphValue& types) {
    const Initial words = [](at::Tensor& tensor, const at::Generator& generator) {
      initial::normal(kBertDeviation)(tensor, generator);
      tensor.select(0, kPaddingToken).zero_();
    };
    const GraphValue word = table("word", vocabulary(options_, "input_ids"), words);
    const GraphValue place = table("position", positions(options_), initial::normal(kBertDeviation));
    const GraphValue type = table("token_type", kTokenTypes, initial::normal(kBertDeviation));
    const GraphValue of_types =
        types.name.empty() ? layers::select(graph_, type, 0, 0) : layers::embedding(graph_, types, type);
    GraphValue x = layers::add(graph_, layers::embedding(graph_, ids, word, kPaddingToken), of_types);
    x = layers::add(graph_, x, layers::first(graph_, place, ids.sizes[0]));
    x = layers::layer_norm(graph_, x, "bert.embeddings.LayerNorm", kBertEpsilon);
    return layers::dropout(graph_, x, options_.dropout);
  }

  GraphValue layer(const GraphValue& x, const std::string& name, const GraphValue* mask) {
    const auto part = [&](const char* of) {
      return split_heads(graph_, dense(x, name + "attention.self." + of, options_.width), options_.heads);
    };
    const GraphValue query = part("query");
    const GraphValue key = part("key");
    const GraphValue value = part("value");
    const layers::Attention how{.mask = mask, .dropout = options_.dropout};
    const GraphValue y =
        residual(merge_heads(graph_, layers::attention(graph_, query, key, value, how)), x, name + "attention.output.");
    const GraphValue wide = dense(y, name + "intermediate.dense", options_.widened());
    return residual(layers::gelu(graph_, wide, "none"), y, name + "output.");
  }

  GraphValue residual(const GraphValue& inner, const GraphValue& x, const std::string& name) {
    const GraphValue y = layers::dropout(graph_, dense(inner, name + "dense", options_.width), options_.dropout);
    return layers::layer_norm(graph_, layers::add(graph_, y, x), name + "LayerNorm", kBertEpsilon);
  }

  GraphBuilder& graph_;
  const BuiltinOptions& options_;
};

std::vector<BuiltinInput> inputs_of_bert(const BuiltinOptions&) {
  return {{.name = "input_ids", .integers = true, .also = {"tokens"}},
          {.name = "attention_mask", .integers = true, .optional = true},
          {.name = "token_type_ids", .integers = true, .optional = true}};
}

// Devlin et al. 2018, "BERT", as transformers' BertForSequenceClassification has it.
GraphValue build_bert(GraphBuilder& graph, const BuiltinOptions& options) {
  require_heads(options);
  return Bert(graph, options).build();
}

}  // namespace

BuiltinProgram bert_program() {
  return {.name = "bert", .inputs = inputs_of_bert, .build = build_bert, .without_data = [](BuiltinOptions& options) {
            options.input_shape = {512};
            options.classes = 2;
            options.counts["input_ids"] = 30522;
          }};
}

}  // namespace lockstep

#include "engine/program/builtin/Transformer.h"

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

namespace {

constexpr std::int64_t kOpenLength = GraphBuilder::kOpen;

}  // namespace

void require_heads(const BuiltinOptions& options) {
  if (options.width % options.heads == 0) return;
  throw InputError("model_width=" + std::to_string(options.width) + " is no multiple of model_heads=" +
                   std::to_string(options.heads) + ": each head has an equal share of it");
}

GraphValue split_heads(GraphBuilder& graph, const GraphValue& x, std::int64_t heads) {
  return layers::permute(graph, layers::reshape(graph, x, {x.sizes.at(0), heads, x.sizes.at(1) / heads}), {1, 0, 2});
}

GraphValue merge_heads(GraphBuilder& graph, const GraphValue& x) {
  return layers::reshape(graph, layers::permute(graph, x, {1, 0, 2}), {x.sizes.at(1), x.sizes.at(0) * x.sizes.at(2)});
}

GraphValue packed_attention(GraphBuilder& graph, const GraphValue& packed, std::int64_t heads,
                            const layers::Attention& how) {
  const std::int64_t each = packed.sizes.at(1) / 3 / heads;
  const GraphValue parts = layers::reshape(graph, packed, {packed.sizes.at(0), 3, heads, each});
  const auto part = [&](std::int64_t index) {
    return layers::permute(graph, layers::select(graph, parts, 1, index), {1, 0, 2});
  };
  const GraphValue query = part(0);
  const GraphValue key = part(1);
  const GraphValue value = part(2);
  return merge_heads(graph, layers::attention(graph, query, key, value, how));
}

GraphValue text_input(GraphBuilder& graph, const std::string& name, const BuiltinOptions& options) {
  const std::int64_t most = positions(options);
  if (options.open_length) graph.open_length(most);
  return graph.input(name, {options.open_length ? kOpenLength : most}, at::kLong);
}

std::int64_t positions(const BuiltinOptions& options) {
  const std::vector<std::int64_t>& shape = options.input_shape;
  if (shape.size() == 1 && options.length >= shape[0]) return options.length;
  if (shape.size() == 1 && options.length == 0 && shape[0] > 0) return shape[0];
  if (shape.size() == 1) {
    throw InputError("texts have " + std::to_string(shape[0]) + " tokens, and model_length=" +
                     std::to_string(options.length) + ": give a model_length that holds them, or leave it out");
  }
  throw InputError("samples of sizes [" + join(shape, ", ") +
                   "] are no texts, which are rows of tokens, [length]; where there is no data, model_length says how "
                   "long they are");
}

std::int64_t vocabulary(const BuiltinOptions& options, const std::string& input) {
  if (options.vocabulary > 0) return options.vocabulary;
  const auto found = options.counts.find(input);
  if (found != options.counts.end() && found->second > 0) return found->second;
  throw InputError("it is not known how many different tokens there are: give model_vocabulary");
}

}  // namespace lockstep

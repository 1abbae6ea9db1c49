// What transformers have in common.
#pragma once

#include <string>

#include "engine/program/Layers.h"
#include "engine/program/builtin/BuiltinProgram.h"

namespace lockstep {

/// Throws InputError unless the width is a multiple of the number of heads.
void require_heads(const BuiltinOptions& options);

/// [length, width] → [heads, length, width of a head], and back.
GraphValue split_heads(GraphBuilder& graph, const GraphValue& x, std::int64_t heads);
GraphValue merge_heads(GraphBuilder& graph, const GraphValue& x);

/// Attention of queries, keys and values that lie side by side: [length, 3 · width] → [length, width].
GraphValue packed_attention(GraphBuilder& graph, const GraphValue& packed, std::int64_t heads,
                            const layers::Attention& how);

/// A text's input, [length], whose length is free where the options say so.
GraphValue text_input(GraphBuilder& graph, const std::string& name, const BuiltinOptions& options);
/// How many positions a text may have. Throws InputError when that is not known, or texts are longer.
std::int64_t positions(const BuiltinOptions& options);
/// How many different tokens there are. Throws InputError when that is not known.
std::int64_t vocabulary(const BuiltinOptions& options, const std::string& input);

}  // namespace lockstep

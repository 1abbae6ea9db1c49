// What a program's outputs are called.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace lockstep {

/// The names of all that the exported forward returned, tensors or not, in the order of the graph's outputs: `logits`,
/// `hidden_states.0`, or by its place `output_0`. They come from `module_call_graph` of model.json, which records how
/// what was returned is nested (torch/utils/_pytree.py, treespec_dumps, protocol 1). None where it does not say.
std::vector<std::string> output_paths(const nlohmann::json& document);

/// How it records a dictionary of these keys.
std::string dictionary_spec(const std::vector<std::string>& names);

}  // namespace lockstep

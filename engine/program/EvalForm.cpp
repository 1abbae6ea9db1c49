#include "engine/program/EvalForm.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/Operators.h"

namespace lockstep {

namespace {

struct Flag {
  std::string argument;
  Argument value;
};

// Operators that behave differently in training, and what makes them behave as in inference.
const std::map<std::string, Flag>& inference_flags() {
  static const std::map<std::string, Flag> flags = [] {
    std::map<std::string, Flag> table;
    const auto aten = [&](const std::string& name, const std::string& argument, Argument value) {
      table["torch.ops.aten." + name] = {argument, std::move(value)};
    };
    for (const char* name : {"dropout.default", "dropout_.default", "alpha_dropout.default", "alpha_dropout_.default",
                             "feature_dropout.default", "feature_dropout_.default", "feature_alpha_dropout.default",
                             "feature_alpha_dropout_.default", "native_dropout.default", "lstm.input", "lstm.data",
                             "gru.input", "gru.data", "rnn_tanh.input", "rnn_relu.input"}) {
      aten(name, "train", false);
    }
    aten("batch_norm.default", "training", false);
    aten("instance_norm.default", "use_input_stats", false);
    aten("rrelu.default", "training", false);
    aten("rrelu_.default", "training", false);
    aten("scaled_dot_product_attention.default", "dropout_p", 0.0);
    return table;
  }();
  return flags;
}

bool is_random(const Node& node) {
  const auto found = find_operator(node.target);
  return found && found->hasTag(at::Tag::nondeterministic_seeded);
}

// Normalization without running statistics uses its batch's own in inference too.
bool has_statistics(const Node& node) {
  const Argument* mean = node.find("running_mean");
  return mean && std::holds_alternative<TensorName>(*mean);
}

// Stochastic depth divides a draw by the probability of a one: noise.bernoulli_(p); noise.div_(p). With p in place of
// the draw the quotient is exactly one.
void fix_stochastic_depth(std::vector<Node>& nodes) {
  for (Node& draw : nodes) {
    if (draw.target != "torch.ops.aten.bernoulli_.float") continue;
    const Argument* probability = draw.find("p");
    const std::string noise = draw.output();
    const auto divided = std::ranges::find_if(nodes, [&](const Node& node) {
      const Argument* divisor = node.find("other");
      return node.target == "torch.ops.aten.div_.Tensor" && node.tensor("self") == noise && divisor && probability &&
             *divisor == *probability;
    });
    if (divided == nodes.end()) continue;
    draw.inputs = {{.name = "self", .value = TensorName{draw.tensor("self")}},
                   {.name = "value", .value = *probability}};
    draw.target = "torch.ops.aten.fill_.Scalar";
  }
}

bool counts_batches(const Node& node, const std::set<std::string>& counters) {
  return node.target == "torch.ops.aten.add_.Tensor" && counters.contains(node.tensor("self"));
}

// Batch norm's counter, under the name of its buffer, or under that of an earlier count where a layer is used again.
std::set<std::string> batch_counters(const Graph& graph) {
  std::set<std::string> counters;
  for (const GraphInput& input : graph.inputs) {
    if (input.kind == InputKind::kBuffer && input.state_name.ends_with("num_batches_tracked")) {
      counters.insert(input.value);
    }
  }
  for (const Node& node : graph.nodes) {
    if (counts_batches(node, counters)) counters.insert(node.output());
  }
  return counters;
}

void refuse_changed_buffers(const Graph& graph) {
  std::map<std::string, std::string> buffers;  // value → the buffer it is
  for (const GraphInput& input : graph.inputs) {
    if (input.kind == InputKind::kBuffer) buffers[input.value] = input.state_name;
  }
  for (const Node& node : graph.nodes) {
    const auto changed = node.in_place() ? buffers.find(node.tensor("self")) : buffers.end();
    if (changed == buffers.end()) continue;
    throw InputError(describe(node) + " changes the buffer " + in_quotes(changed->second) +
                     " in inference too; only batch norm's statistics and counters are known to stop");
  }
}

}  // namespace

const Node* find_inference_node(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    const auto flag = inference_flags().find(node.target);
    if (flag == inference_flags().end() || node.target.find("attention") != std::string::npos) continue;
    const Argument* given = node.find(flag->second.argument);
    if (given && *given == flag->second.value) return &node;
  }
  return nullptr;
}

Graph eval_form(Graph graph) {
  nlohmann::json& tensor_values = graph.document.at("graph_module").at("graph").at("tensor_values");
  const std::set<std::string> counters = batch_counters(graph);
  std::erase_if(graph.nodes, [&](const Node& node) {
    const bool counter = counts_batches(node, counters);
    if (counter) tensor_values.erase(node.output());
    return counter;
  });
  fix_stochastic_depth(graph.nodes);
  for (Node& node : graph.nodes) {
    const auto flag = inference_flags().find(node.target);
    if (flag != inference_flags().end()) {
      const bool normalization = node.target.find("_norm.") != std::string::npos;
      if (!normalization || has_statistics(node)) node.set(flag->second.argument, flag->second.value);
    } else if (is_random(node)) {
      throw InputError(describe(node) +
                       " is random and has no inference form: such a program can be neither evaluated nor exported");
    }
  }
  refuse_changed_buffers(graph);
  return graph;
}

}  // namespace lockstep

#include "engine/program/EvalForm.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/OperatorTraits.h"
#include "engine/program/Operators.h"

namespace lockstep {

namespace {

// Of an operator without a row, PyTorch says it.
bool is_random(const Node& node) {
  if (operator_traits(node).random) return true;
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

void bring_into_inference(Node& node) {
  const OperatorTraits& traits = operator_traits(node);
  if (const std::optional<InferenceForm>& form = traits.inference) {
    if (form->with_running_statistics && !has_statistics(node)) return;
    if (form->replacement.empty()) {
      node.set(form->argument, form->value);
    } else {
      node.target = "torch.ops.aten." + std::string(form->replacement) + ".default";
    }
  } else if (is_random(node) || traits.statistics) {
    throw InputError(describe(node) +
                     (traits.statistics ? " normalizes by the statistics of its batch" : " is random") +
                     " and has no inference form: such a program can be neither evaluated nor exported");
  }
}

}  // namespace

const Node* find_inference_node(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    const std::optional<InferenceForm>& form = operator_traits(node).inference;
    if (!form || form->argument.empty() || form->in_training_too) continue;
    const Argument* given = node.find(form->argument);
    if (given && *given == form->value) return &node;
  }
  return nullptr;
}

Graph eval_form(Graph graph) {
  const std::set<std::string> counters = batch_counters(graph);
  std::erase_if(graph.nodes, [&](const Node& node) {
    const bool counter = counts_batches(node, counters);
    if (counter) graph.forget(node.output());
    return counter;
  });
  fix_stochastic_depth(graph.nodes);
  for (Node& node : graph.nodes) bring_into_inference(node);
  refuse_changed_buffers(graph);
  return graph;
}

}  // namespace lockstep

#include "engine/program/BatchStatistics.h"

#include <set>
#include <variant>

#include "common/Text.h"
#include "engine/program/OperatorTraits.h"

namespace lockstep {

std::int64_t BatchStatistics::values(std::span<const std::int64_t> sizes) const {
  std::int64_t values = 1;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (i == 1 || (i == 0 && !over_batch)) continue;
    values *= sizes[i];
  }
  return values;
}

std::optional<BatchStatistics> batch_statistics(const Node& node) {
  const std::optional<StatisticsForm>& form = operator_traits(node).statistics;
  if (!form) return std::nullopt;
  if (!form->flag.empty()) {
    const Argument* flag = node.find(form->flag);
    const bool* on = flag ? std::get_if<bool>(flag) : nullptr;
    if (!on || !*on) return std::nullopt;
  }
  return BatchStatistics{.over_batch = form->over_batch, .running = !node.tensor("running_var").empty()};
}

std::string describe_with_layer(const Node& node, const Graph& graph) {
  for (const char* argument : {"running_var", "weight"}) {
    const std::string value = node.tensor(argument);
    for (const GraphInput& input : graph.inputs) {
      if (value.empty() || input.value != value) continue;
      return "layer " + input.state_name.substr(0, input.state_name.rfind('.')) + ", " + describe(node);
    }
  }
  return describe(node);
}

void require_batch_norms(const Graph& graph) {
  std::set<std::string> state;
  for (const GraphInput& input : graph.inputs) {
    if (input.kind != InputKind::kUserInput) state.insert(input.value);
  }
  bool any = false;
  for (const Node& node : graph.nodes) {
    const std::optional<BatchStatistics> statistics = batch_statistics(node);
    if (!statistics || !statistics->over_batch) continue;
    any = true;
    if (node.aten_name() != "batch_norm" && node.target != "torch.ops.lockstep.batch_norm.default") {
      throw InputError("sync_batch_norm: " + describe_with_layer(node, graph) +
                       " is not aten.batch_norm, the one operator whose statistics can be taken over all ranks; export "
                       "the program without run_decompositions");
    }
    const auto known = [&](const char* argument) { return state.contains(node.tensor(argument)); };
    if (!known("weight") && !known("bias") && !known("running_mean") && !known("running_var")) {
      throw InputError("sync_batch_norm: " + describe_with_layer(node, graph) +
                       " has neither parameters nor running statistics of its own, so that a rank without samples does "
                       "not know how many channels it has; give it affine=True or track_running_stats=True");
    }
  }
  if (!any) {
    throw InputError(
        "hyperparameter sync_batch_norm does nothing in this job: the program has no batch norm that is trained; leave "
        "it out");
  }
}

SingleValueError::SingleValueError(const std::string& node, const BatchStatistics& statistics,
                                   std::span<const std::int64_t> sizes)
    : InputError(node + " is given [" + join(sizes, ", ") + "]: one number in each channel" +
                 (statistics.over_batch ? "" : " of a sample") + ", and a single number has no variance"),
      over_batch_(statistics.over_batch) {}

}  // namespace lockstep

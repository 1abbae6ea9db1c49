#include "engine/artifacts/FormatSupport.h"

#include <algorithm>
#include <utility>

#include "common/Error.h"

namespace lockstep {

namespace {

std::string refusal_of(const Program& program, const Artifact& artifact, const std::vector<Probe>& probes) {
  try {
    artifact.check(program, probes);
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

// The operator that a refusal names, or "".
std::string refused_target(const Graph& graph, const std::string& refusal) {
  const auto named = std::ranges::find_if(
      graph.nodes, [&](const Node& node) { return refusal.find(describe(node)) != std::string::npos; });
  return named == graph.nodes.end() ? "" : named->target;
}

// The graph without the calls of an operator: what they return is given.
Graph without(Graph graph, const std::string& target) {
  std::vector<Node> kept;
  for (Node& node : graph.nodes) {
    if (node.target != target) {
      kept.push_back(std::move(node));
      continue;
    }
    for (std::string& result : node.results()) {
      graph.inputs.push_back({.kind = InputKind::kUserInput, .value = std::move(result), .state_name = ""});
    }
  }
  graph.nodes = std::move(kept);
  return graph;
}

}  // namespace

FormatSupport format_support(const Program& program, const Artifact& artifact, const std::vector<Probe>& probes) {
  FormatSupport support{refusal_of(program, artifact, probes), {}};
  Graph graph = program.graph();
  for (std::string refusal = support.refusal; !refusal.empty();) {
    const std::string target = refused_target(graph, refusal);
    if (target.empty()) break;
    support.operators[target] = refusal;
    graph = without(std::move(graph), target);
    refusal = refusal_of(program.with_graph(graph), artifact, {});
  }
  return support;
}

}  // namespace lockstep

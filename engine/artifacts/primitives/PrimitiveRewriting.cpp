#include "engine/artifacts/primitives/PrimitiveRewriting.h"

#include <map>
#include <utility>

namespace lockstep {

namespace {

primitive::Operation with_integers(primitive::Operation operation, const std::function<Integer(Integer)>& change) {
  const auto change_all = [&](Integers& integers) {
    for (Integer& integer : integers) integer = change(integer);
  };
  if (auto* reshape = std::get_if<primitive::Reshape>(&operation)) change_all(reshape->sizes);
  if (auto* broadcast = std::get_if<primitive::Broadcast>(&operation)) change_all(broadcast->sizes);
  if (auto* resize = std::get_if<primitive::Resize>(&operation)) change_all(resize->sizes);
  if (auto* top = std::get_if<primitive::TopK>(&operation)) top->k = change(top->k);
  if (auto* slice = std::get_if<primitive::Slice>(&operation)) {
    slice->start = change(slice->start);
    slice->end = change(slice->end);
  }
  return operation;
}

}  // namespace

PrimitiveGraph rewritten(const PrimitiveGraph& graph, const PrimitiveRewrite& rewrite) {
  PrimitiveBuilder builder(graph);
  std::map<ValueId, ValueId> places;  // old → new
  for (const PrimitiveInterface& input : graph.inputs) {
    places[input.value] = builder.input(input.name, graph.values[input.value.index]);
  }
  for (const PrimitiveState& state : graph.state) {
    places[state.value] = builder.state(state.names, graph.values[state.value.index], state.trainable);
  }
  const auto change = [&](Integer integer) {
    const auto* id = std::get_if<ValueId>(&integer);
    if (!id) return integer;
    const ValueId moved = places.at(*id);
    const std::optional<Ints> known = builder.known_integers(moved);
    return known ? Integer(known->at(0)) : Integer(moved);
  };
  for (const PrimitiveNode& old : graph.nodes) {
    builder.set_origin(old.origin);
    PrimitiveNode node = old;
    node.operation = with_integers(std::move(node.operation), change);
    std::vector<Term> inputs;
    for (const ValueId input : old.inputs) inputs.emplace_back(builder, places.at(input));
    std::vector<ValueId> outputs;
    if (const auto terms = rewrite(node, inputs)) {
      for (const Term& term : *terms) outputs.push_back(term.id());
    } else {
      std::vector<ValueId> ids;
      for (const Term& input : inputs) ids.push_back(input.id());
      outputs = builder.add(node.operation, ids);
    }
    for (std::size_t i = 0; i < old.outputs.size(); ++i) {
      places[old.outputs[i]] = outputs.at(i);
      builder.refine(outputs[i], graph.values[old.outputs[i].index].sizes);
    }
  }
  for (const PrimitiveInterface& output : graph.outputs) builder.output(output.name, places.at(output.value));
  return std::move(builder).finish();
}

}  // namespace lockstep

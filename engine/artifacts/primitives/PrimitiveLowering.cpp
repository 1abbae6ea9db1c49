#include "engine/artifacts/primitives/PrimitiveLowering.h"

#include <algorithm>
#include <stdexcept>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/DimensionNames.h"
#include "engine/artifacts/primitives/PrimitiveRows.h"
#include "engine/artifacts/primitives/ViewWrites.h"
#include "engine/program/Aliases.h"
#include "engine/program/OperatorTraits.h"
#include "engine/program/SizeOperator.h"

namespace lockstep {

namespace {

// Operators that compute nothing that an output needs: what they check, the exporter and the engine have checked.
bool only_asserts(const Node& node) {
  const std::string name = node.aten_name();
  return node.asserts_metadata() || name == "_assert_scalar" || name == "_assert_async" ||
         name.starts_with("sym_constrain_range");
}

using Binary = primitive::Binary::Kind;

// Arithmetic on sizes by its name in Python.
const std::map<std::string, Binary>& size_arithmetic() {
  static const std::map<std::string, Binary> kinds = {{"_operator.add", Binary::kAdd},
                                                      {"_operator.sub", Binary::kSubtract},
                                                      {"_operator.mul", Binary::kMultiply},
                                                      {"_operator.floordiv", Binary::kFloorDivide},
                                                      {"_operator.mod", Binary::kRemainder}};
  return kinds;
}

}  // namespace

PrimitiveGraph lower_to_primitives(const Graph& graph, const TiedNames& tied) {
  PrimitiveLowering lowering(graph, tied);
  lowering.lower_inputs();
  lowering.lower_nodes();
  lowering.lower_outputs();
  return std::move(lowering).finish();
}

PrimitiveLowering::PrimitiveLowering(const Graph& graph, const TiedNames& tied) : graph_(graph), tied_(tied) {
  for (const AliasedWrite& write : aliased_writes(graph)) {
    const bool state = std::ranges::any_of(graph.inputs, [&](const GraphInput& input) {
      return input.value == write.name && input.kind != InputKind::kUserInput;
    });
    if (write.depends_on_strides || state) {
      refuse(*write.node, "it changes in place what is read later as " + in_quotes(write.name));
    }
    shared_writes_.emplace(write.node, write.name);
  }
}

void PrimitiveLowering::refuse(const Node& node, const std::string& why) {
  throw InputError(describe(node) + " cannot be written into an artifact: " + why);
}

void PrimitiveLowering::lower_inputs() {
  for (const GraphInput& input : graph_.inputs) {
    if (input.kind != InputKind::kUserInput) {
      state_inputs_[input.value] = &input;
      continue;
    }
    const auto type = static_cast<ElementType>(graph_.scalar_type(input.value));
    size_of(type);  // throws for complex and quantized ones
    values_.insert_or_assign(
        input.value, Term(builder_, builder_.input(input.value, {type, plain_sizes(graph_.sizes(input.value))})));
  }
}

void PrimitiveLowering::lower_nodes() {
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    builder_.set_origin(i);
    const Node& node = graph_.nodes[i];
    if (only_asserts(node)) continue;
    note_view(node);
    lower(node);
  }
}

void PrimitiveLowering::lower_outputs() {
  const std::vector<std::string> names = graph_.output_names();
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    builder_.output(names[i], tensor(Node{}, graph_.outputs[i]).id());
  }
}

void PrimitiveLowering::lower(const Node& node) {
  try {
    if (lower_integer(node)) return;
    bind(node, compute(node));
  } catch (const std::out_of_range&) {
    refuse(node, "its values have fewer dimensions than it needs");
  } catch (const InternalError& error) {  // inputs of a program that no operator takes
    refuse(node, error.what());
  }
}

std::vector<Term> PrimitiveLowering::compute(const Node& node) {
  const PrimitiveRow* row = find_primitive_row(node);
  if (row == nullptr) refuse(node, "it has no translation");
  NodeArguments arguments(*this, node);
  std::vector<Term> terms;
  if (const auto* elementwise = std::get_if<ElementwiseRow>(row)) {
    terms = {(*elementwise)(cast(arguments.tensor("self"), arguments.output_type()))};
  } else if (const auto* one = std::get_if<1>(row)) {
    terms = {(*one)(arguments)};
  } else {
    terms = std::get<2>(*row)(arguments);
  }
  arguments.require_all_read();
  return terms;
}

// Sizes, and Python's arithmetic on them. What compares them only asserts.
bool PrimitiveLowering::lower_integer(const Node& node) {
  const auto* symbol = node.outputs.size() == 1 ? std::get_if<SymInt>(&node.outputs[0]) : nullptr;
  const auto* name = symbol ? std::get_if<std::string>(symbol) : nullptr;
  const SizeOperator* arithmetic = find_size_operator(node.target);
  if (!name) return arithmetic != nullptr;
  NodeArguments arguments(*this, node);
  const std::string aten = node.aten_name();
  if (aten == "sym_size") {
    const Term self = arguments.tensor("self");
    integers_.insert_or_assign(*name, self.size(arguments.dim("dim", self.rank(), 0)));
  } else if (aten == "sym_numel") {
    Integer count = std::int64_t{1};
    for (const Integer& size : arguments.tensor("self").all_sizes()) count = multiply(builder_, count, size);
    integers_.insert_or_assign(*name, count);
  } else if (arithmetic && node.inputs.size() == arithmetic->operands) {
    Integers operands;
    for (const NamedArgument& input : node.inputs) {
      Node single;
      single.target = node.target;
      single.set("operand", input.value);
      operands.push_back(NodeArguments(*this, single).integer("operand", std::int64_t{0}));
    }
    if (node.target == "_operator.neg") operands.insert(operands.begin(), std::int64_t{0});
    const auto kind = size_arithmetic().find(node.target == "_operator.neg" ? "_operator.sub" : node.target);
    if (kind == size_arithmetic().end()) refuse(node, "it has no translation");
    integers_.insert_or_assign(*name, integer_arithmetic(builder_, kind->second, operands.at(0), operands.at(1)));
  } else {
    refuse(node, "it has no translation");
  }
  return true;
}

Integer PrimitiveLowering::integer(const Node& reader, const std::string& name) const {
  const auto found = integers_.find(name);
  if (found == integers_.end()) refuse(reader, "it reads the integer " + in_quotes(name) + ", which nothing computes");
  return found->second;
}

Term PrimitiveLowering::tensor(const Node& reader, const std::string& name) {
  if (stale_.erase(name) != 0) {
    const View& view = views_.at(name);
    if (view.node->in_place()) {
      values_.insert_or_assign(name, tensor(reader, view.parent));
    } else {
      values_.insert_or_assign(name, stated(name, compute(*view.node).at(0)));
    }
  }
  if (const auto value = values_.find(name); value != values_.end()) return value->second;
  const auto input = state_inputs_.find(name);
  if (input != state_inputs_.end()) return state(*input->second);
  if (reader.target.empty()) throw InputError("no operator computes the output " + in_quotes(name));
  refuse(reader, "it reads " + in_quotes(name) + ", which nothing computes");
}

Term PrimitiveLowering::state(const GraphInput& input) {
  const auto standing = tied_.find(input.state_name);
  const std::string& name = standing == tied_.end() ? input.state_name : standing->second;
  auto found = states_.find(name);
  if (found == states_.end()) {
    std::vector<std::string> names = {name};
    for (const auto& [tied, stands_for] : tied_) {
      if (stands_for == name && tied != name) names.push_back(tied);
    }
    const auto type = static_cast<ElementType>(graph_.scalar_type(input.value));
    size_of(type);
    const bool trainable = input.kind == InputKind::kParameter && graph_.requires_grad(input.value);
    const ValueId id = builder_.state(std::move(names), {type, plain_sizes(graph_.sizes(input.value))}, trainable);
    found = states_.emplace(name, id).first;
  }
  return {builder_, found->second};
}

// The term in the type, and under the names of sizes, that the program says a value has.
Term PrimitiveLowering::stated(const std::string& name, Term term) {
  const auto type = static_cast<ElementType>(graph_.scalar_type(name));
  size_of(type);
  term = cast(term, type);
  if (const auto sizes = graph_.find_sizes(name)) builder_.refine(term.id(), plain_sizes(*sizes));
  return term;
}

void PrimitiveLowering::bind(const Node& node, const std::vector<Term>& terms) {
  const std::vector<std::string> names = node.results();
  for (std::size_t i = 0; i < std::min(names.size(), terms.size()); ++i) {
    values_.insert_or_assign(names[i], stated(names[i], terms[i]));
  }
  if (!node.in_place() || names.empty()) return;
  const Term written = values_.at(names[0]);
  const std::string self = node.tensor("self");
  if (shared_writes_.contains(&node)) {
    write(node, names[0], written);
  } else {
    values_.insert_or_assign(self, written);
  }
}

void PrimitiveLowering::note_view(const Node& node) {
  const std::string parent = node.tensor("self");
  if (parent.empty() || node.output().empty()) return;
  const bool always = node.in_place() || operator_traits(node).sharing == Sharing::kAlways;
  if (always) views_.insert_or_assign(node.output(), View{&node, parent});
}

std::string PrimitiveLowering::root(std::string name) const {
  for (auto view = views_.find(name); view != views_.end(); view = views_.find(name)) name = view->second.parent;
  return name;
}

void PrimitiveLowering::write(const Node& node, const std::string& name, const Term& term) {
  std::string current = name;
  Term value = term;
  std::set<std::string> path = {name};
  for (auto view = views_.find(current); view != views_.end(); view = views_.find(current)) {
    const Node& maker = *view->second.node;
    NodeArguments arguments(*this, maker);
    const Term parent = tensor(node, view->second.parent);
    const auto changed = maker.in_place() ? std::optional(value) : written_through(arguments, parent, value);
    if (!changed) refuse(node, "it changes in place what is read later under another name");
    current = view->second.parent;
    value = *changed;
    builder_.refine(value.id(), parent.sizes());
    values_.insert_or_assign(current, value);
    stale_.erase(current);
    path.insert(current);
  }
  const std::string& read_later = shared_writes_.at(&node);
  if (root(read_later) != current) {  // not a view that is followed here: dropout in inference, which returns its input
    refuse(node, "it changes in place what is read later as " + in_quotes(read_later));
  }
  for (const auto& [other, view] : views_) {
    if (!path.contains(other) && root(other) == current && values_.contains(other)) stale_.insert(other);
  }
}

}  // namespace lockstep

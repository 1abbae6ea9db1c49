#include "engine/artifacts/primitives/PrimitiveBuilder.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

#include "engine/artifacts/primitives/PrimitiveInference.h"

namespace lockstep {

namespace {

constexpr std::size_t kSmall = 64;  // bytes of constants that are looked for among earlier ones
constexpr std::string_view kMadeUp = "size_";

void mark_integers(const primitive::Operation& operation, std::vector<bool>& needed) {
  for (const Integer& integer : integers_of(operation)) {
    if (const auto* id = std::get_if<ValueId>(&integer)) needed[id->index] = true;
  }
}

}  // namespace

PrimitiveBuilder::PrimitiveBuilder(const PrimitiveGraph& other) {
  for (const PrimitiveValue& value : other.values) {
    for (const Dimension& size : value.sizes) {
      const auto* name = std::get_if<std::string>(&size);
      if (!name || !name->starts_with(kMadeUp)) continue;
      std::size_t number = 0;
      std::from_chars(name->data() + kMadeUp.size(), name->data() + name->size(), number);
      fresh_ = std::max(fresh_, number + 1);
    }
  }
}

std::string PrimitiveBuilder::fresh_name() { return std::string(kMadeUp) + std::to_string(fresh_++); }

ValueId PrimitiveBuilder::new_value(PrimitiveValue value) {
  graph_.values.push_back(std::move(value));
  return {graph_.values.size() - 1};
}

ValueId PrimitiveBuilder::input(const std::string& name, PrimitiveValue value) {
  const ValueId id = new_value(std::move(value));
  graph_.inputs.push_back({name, id});
  return id;
}

ValueId PrimitiveBuilder::state(std::vector<std::string> names, PrimitiveValue value, bool trainable) {
  const ValueId id = new_value(std::move(value));
  graph_.state.push_back({std::move(names), id, trainable});
  return id;
}

void PrimitiveBuilder::output(const std::string& name, ValueId value) { graph_.outputs.push_back({name, value}); }

std::vector<ValueId> PrimitiveBuilder::add(primitive::Operation operation, std::vector<ValueId> inputs) {
  if (!inputs.empty()) {
    for (const std::size_t index : readers_[inputs[0]]) {
      const PrimitiveNode& node = graph_.nodes[index];
      if (node.inputs == inputs && node.operation == operation) return node.outputs;
    }
    readers_[inputs[0]].push_back(graph_.nodes.size());
  }
  std::vector<PrimitiveValue> given;
  for (const ValueId input : inputs) given.push_back(value(input));
  const SizeNames names = {.fresh = [&] { return Dimension(fresh_name()); },
                           .of = [&](const Integer& integer) { return dimension(integer); }};
  std::vector<ValueId> outputs;
  for (PrimitiveValue& output : infer(operation, given, names)) outputs.push_back(new_value(std::move(output)));
  for (const ValueId output : outputs) makers_[output] = graph_.nodes.size();
  graph_.nodes.push_back({std::move(operation), std::move(inputs), outputs, origin_});
  return outputs;
}

ValueId PrimitiveBuilder::constant(primitive::Constant constant) {
  const bool small = constant.bytes.size() <= kSmall;
  const std::tuple key{constant.type, constant.sizes, small ? constant.bytes : ""};
  if (const auto found = constants_.find(key); small && found != constants_.end()) return found->second;
  const ValueId id = add(std::move(constant), {}).at(0);
  if (small) constants_[key] = id;
  return id;
}

const PrimitiveNode* PrimitiveBuilder::maker(ValueId id) const {
  const auto found = makers_.find(id);
  return found == makers_.end() ? nullptr : &graph_.nodes[found->second];
}

std::optional<Ints> PrimitiveBuilder::known_integers(ValueId id) const {
  const PrimitiveNode* node = maker(id);
  const auto* constant = node ? std::get_if<primitive::Constant>(&node->operation) : nullptr;
  if (!constant || constant->type != ElementType::kInt64) return std::nullopt;
  Ints values(constant->bytes.size() / sizeof(std::int64_t));
  if (!values.empty()) std::memcpy(values.data(), constant->bytes.data(), values.size() * sizeof(std::int64_t));
  return values;
}

Integer PrimitiveBuilder::size(ValueId id, std::size_t dim) {
  const Dimension size = value(id).sizes.at(dim);
  if (const auto* number = std::get_if<std::int64_t>(&size)) return *number;
  const auto& name = std::get<std::string>(size);
  if (const auto found = sizes_.find(name); found != sizes_.end()) return found->second;
  const ValueId scalar = add(primitive::Size{dim}, {id}).at(0);
  sizes_[name] = scalar;
  names_[scalar] = name;
  return scalar;
}

Dimension PrimitiveBuilder::dimension(const Integer& integer) {
  if (const auto* number = std::get_if<std::int64_t>(&integer)) return *number;
  const auto id = std::get<ValueId>(integer);
  const auto [found, is_new] = names_.try_emplace(id);
  if (is_new) {
    found->second = fresh_name();
    sizes_[found->second] = id;
  }
  return found->second;
}

ValueId PrimitiveBuilder::scalar(const Integer& integer) {
  if (const auto* id = std::get_if<ValueId>(&integer)) return *id;
  std::string bytes(sizeof(std::int64_t), '\0');
  std::memcpy(bytes.data(), &std::get<std::int64_t>(integer), bytes.size());
  return constant({ElementType::kInt64, {}, std::move(bytes)});
}

void PrimitiveBuilder::refine(ValueId id, const std::vector<Dimension>& stated) {
  std::vector<Dimension>& sizes = graph_.values.at(id.index).sizes;
  if (sizes.size() != stated.size()) return;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto* name = std::get_if<std::string>(&sizes[i]);
    if (!name) continue;
    const auto scalar = sizes_.find(*name);
    if (const auto* other = std::get_if<std::string>(&stated[i]); other && scalar != sizes_.end()) {
      sizes_.emplace(*other, scalar->second);
    }
    sizes[i] = stated[i];
  }
}

PrimitiveGraph PrimitiveBuilder::finish() && { return without_unused(std::move(graph_)); }

Integers integers_of(const primitive::Operation& operation) {
  if (const auto* reshape = std::get_if<primitive::Reshape>(&operation)) return reshape->sizes;
  if (const auto* broadcast = std::get_if<primitive::Broadcast>(&operation)) return broadcast->sizes;
  if (const auto* slice = std::get_if<primitive::Slice>(&operation)) return {slice->start, slice->end};
  if (const auto* resize = std::get_if<primitive::Resize>(&operation)) return resize->sizes;
  if (const auto* top = std::get_if<primitive::TopK>(&operation)) return {top->k};
  return {};
}

PrimitiveGraph without_unused(PrimitiveGraph graph) {
  std::vector<bool> needed(graph.values.size());
  for (const PrimitiveInterface& output : graph.outputs) needed[output.value.index] = true;
  std::vector<PrimitiveNode> kept;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (std::ranges::none_of(node->outputs, [&](ValueId output) { return needed[output.index]; })) continue;
    for (const ValueId input : node->inputs) needed[input.index] = true;
    mark_integers(node->operation, needed);
    kept.push_back(std::move(*node));
  }
  std::ranges::reverse(kept);
  graph.nodes = std::move(kept);
  std::erase_if(graph.state, [&](const PrimitiveState& state) { return !needed[state.value.index]; });
  return graph;
}

}  // namespace lockstep

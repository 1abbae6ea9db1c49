#include "engine/artifacts/onnx/OnnxWriter.h"

#include <algorithm>
#include <cstring>

#include "engine/artifacts/DimensionNames.h"
#include "engine/artifacts/onnx/OnnxNames.h"
#include "engine/artifacts/onnx/OnnxTypes.h"
#include "engine/artifacts/primitives/PrimitiveDecompositions.h"

namespace lockstep {

namespace {

template <typename T>
std::string element(double number) {
  const T value = static_cast<T>(number);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

void set_attribute(onnx::AttributeProto& attribute, const OnnxAttribute& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    attribute.set_i(*integer);
    attribute.set_type(onnx::AttributeProto::INT);
  } else if (const auto* real = std::get_if<float>(&value)) {
    attribute.set_f(*real);
    attribute.set_type(onnx::AttributeProto::FLOAT);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    attribute.set_s(*text);
    attribute.set_type(onnx::AttributeProto::STRING);
  } else {
    for (const std::int64_t each : std::get<Ints>(value)) attribute.add_ints(each);
    attribute.set_type(onnx::AttributeProto::INTS);
  }
}

bool has_no_operator(const PrimitiveNode& node) {
  const auto* unary = std::get_if<primitive::Unary>(&node.operation);
  return unary && !onnx_unaries().contains(unary->kind);
}

}  // namespace

OnnxWriter::OnnxWriter(const PrimitiveGraph& graph)
    : graph_(decompose(graph, has_no_operator)), values_(graph_.values.size()) {
  for (const PrimitiveNode& node : graph_.nodes) {
    for (const ValueId output : node.outputs) producers_[output] = &node;
  }
}

onnx::GraphProto OnnxWriter::write() {
  add_interface();
  for (const PrimitiveNode& node : graph_.nodes) {
    node_ = &node;
    first_ = result_.node_size();
    write_onnx_operation(*this);
  }
  add_outputs();
  remove_unused();
  return std::move(result_);
}

void OnnxWriter::add_interface() {
  const auto describe = [&](onnx::ValueInfoProto& info, const std::string& name, const PrimitiveValue& value) {
    info.set_name(name);
    auto& tensor = *info.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(to_onnx(value.type));
    auto& shape = *tensor.mutable_shape();
    for (const Dimension& size : value.sizes) {
      auto& dim = *shape.add_dim();
      if (const auto* known = std::get_if<std::int64_t>(&size)) {
        dim.set_dim_value(*known);
      } else if (const auto found = dimensions_.find(std::get<std::string>(size)); found != dimensions_.end()) {
        dim.set_dim_param(found->second);
      }
    }
  };
  std::vector<std::vector<Dimension>> sizes;
  for (const PrimitiveInterface& input : graph_.inputs) sizes.push_back(described(input.value).sizes);
  dimensions_ = dimension_names(sizes);
  for (const PrimitiveInterface& input : graph_.inputs) {
    const std::string name = unique(input.name);
    values_.at(input.value.index) = {name, described(input.value).type};
    describe(*result_.add_input(), name, described(input.value));
  }
  std::set<ValueId> given;
  for (const PrimitiveInterface& input : graph_.inputs) given.insert(input.value);
  for (const PrimitiveState& state : graph_.state) given.insert(state.value);
  for (const PrimitiveInterface& output : graph_.outputs) {
    const std::string name = unique(output.name);
    if (!given.contains(output.value)) wanted_.emplace(output.value, name);
    describe(*result_.add_output(), name, described(output.value));
  }
  for (const PrimitiveState& state : graph_.state) {
    const PrimitiveValue& value = described(state.value);
    const std::string name = unique(state.names.at(0));
    values_.at(state.value.index) = {name, value.type};
    onnx::TensorProto& tensor = *result_.add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(to_onnx(value.type));
    for (const Dimension& size : value.sizes) tensor.add_dims(std::get<std::int64_t>(size));
  }
}

void OnnxWriter::add_outputs() {
  for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
    const OnnxValue& made = value(graph_.outputs[i].value);
    const std::string& name = result_.output(static_cast<int>(i)).name();
    if (made.name == name) continue;
    onnx::NodeProto& node = *result_.add_node();
    node.set_name(unique("Identity"));
    node.set_op_type("Identity");
    node.add_input(made.name);
    node.add_output(name);
  }
}

void OnnxWriter::remove_unused() {
  std::set<std::string> needed;
  for (const onnx::ValueInfoProto& output : result_.output()) needed.insert(output.name());
  std::vector<onnx::NodeProto> kept;
  for (int i = result_.node_size(); i-- > 0;) {
    onnx::NodeProto& node = *result_.mutable_node(i);
    if (std::ranges::none_of(node.output(), [&](const std::string& name) { return needed.contains(name); })) continue;
    needed.insert(node.input().begin(), node.input().end());
    kept.push_back(std::move(node));
  }
  result_.clear_node();
  for (auto node = kept.rbegin(); node != kept.rend(); ++node) *result_.add_node() = std::move(*node);
}

const PrimitiveNode* OnnxWriter::producer(ValueId id) const {
  const auto found = producers_.find(id);
  return found == producers_.end() ? nullptr : found->second;
}

std::vector<OnnxValue> OnnxWriter::add(const std::string& op, const std::vector<OnnxValue>& inputs,
                                       const OnnxAttributes& attributes, const std::vector<ElementType>& types) {
  onnx::NodeProto& made = *result_.add_node();
  made.set_op_type(op);
  for (const OnnxValue& input : inputs) made.add_input(input.name);
  std::vector<OnnxValue> outputs;
  for (const ElementType type : types) {
    outputs.push_back({unique(op), type});
    made.add_output(outputs.back().name);
  }
  made.set_name(outputs.at(0).name);
  for (const auto& [name, value] : attributes) {
    onnx::AttributeProto& attribute = *made.add_attribute();
    attribute.set_name(name);
    set_attribute(attribute, value);
  }
  return outputs;
}

OnnxValue OnnxWriter::run(const std::string& op, std::vector<OnnxValue> inputs, const OnnxAttributes& attributes,
                          std::optional<ElementType> result) {
  const ElementType type = inputs.at(0).type;
  const ElementType computed = kernel_type(op, type);
  for (OnnxValue& input : inputs) input = cast(input, computed);
  const OnnxValue output = add(op, inputs, attributes, result.value_or(computed));
  return result ? output : cast(output, type);
}

OnnxValue OnnxWriter::cast(const OnnxValue& value, ElementType type) {
  if (value.type == type) return value;
  return add("Cast", {value}, {{"to", std::int64_t{to_onnx(type)}}}, type);
}

OnnxValue OnnxWriter::constant(const primitive::Constant& constant) {
  onnx::TensorProto tensor;
  tensor.set_data_type(to_onnx(constant.type));
  for (const std::int64_t size : constant.sizes) tensor.add_dims(size);
  tensor.set_raw_data(constant.bytes);
  const std::string key = tensor.SerializeAsString();
  if (const auto found = constants_.find(key); found != constants_.end()) return found->second;
  const OnnxValue value = add("Constant", {}, {}, constant.type);
  onnx::AttributeProto& attribute = *result_.mutable_node(result_.node_size() - 1)->add_attribute();
  attribute.set_name("value");
  attribute.set_type(onnx::AttributeProto::TENSOR);
  *attribute.mutable_t() = std::move(tensor);
  constexpr std::size_t kMostShared = 1024;
  if (key.size() <= kMostShared) constants_[key] = value;
  return value;
}

OnnxValue OnnxWriter::number(double value, ElementType type) {
  switch (type) {
    case ElementType::kDouble:
      return constant({type, {}, element<double>(value)});
    case ElementType::kFloat:
      return constant({type, {}, element<float>(value)});
    case ElementType::kInt64:
      return constant({type, {}, element<std::int64_t>(value)});
    case ElementType::kInt32:
      return constant({type, {}, element<std::int32_t>(value)});
    case ElementType::kUint8:
      return constant({type, {}, element<std::uint8_t>(value)});
    case ElementType::kBool:
      return constant({type, {}, element<bool>(value)});
    default:
      return cast(number(value, is_real(type) ? ElementType::kFloat : ElementType::kInt64), type);
  }
}

OnnxValue OnnxWriter::integers(const Integers& elements) {
  std::vector<OnnxValue> parts;
  for (std::size_t i = 0; i < elements.size() || parts.empty();) {
    if (const auto* id = i < elements.size() ? std::get_if<ValueId>(&elements[i]) : nullptr) {
      OnnxValue& vector = vectors_[*id];
      if (vector.name.empty()) vector = add("Unsqueeze", {value(*id), integers(Ints{0})}, {}, ElementType::kInt64);
      parts.push_back(vector);
      ++i;
      continue;
    }
    Ints run;
    for (; i < elements.size() && std::holds_alternative<std::int64_t>(elements[i]); ++i) {
      run.push_back(std::get<std::int64_t>(elements[i]));
    }
    std::string bytes(run.size() * sizeof(std::int64_t), '\0');
    if (!run.empty()) std::memcpy(bytes.data(), run.data(), bytes.size());
    parts.push_back(constant({ElementType::kInt64, {static_cast<std::int64_t>(run.size())}, std::move(bytes)}));
  }
  if (parts.size() == 1) return parts[0];
  return add("Concat", parts, {{"axis", std::int64_t{0}}}, ElementType::kInt64);
}

void OnnxWriter::bind(const OnnxValue& made, std::size_t i) {
  const ValueId id = node_->outputs.at(i);
  if (made.type != described(id).type) throw InternalError("an ONNX value of another type than its primitive");
  OnnxValue& bound = values_.at(id.index);
  bound = made;
  const auto wanted = wanted_.find(id);
  if (wanted == wanted_.end() || result_.node_size() == first_) return;
  onnx::NodeProto& last = *result_.mutable_node(result_.node_size() - 1);
  if (last.op_type() == "Constant") return;  // others may share it
  const auto output = std::ranges::find(*last.mutable_output(), made.name);
  if (output == last.mutable_output()->end()) return;
  bound.name = wanted->second;
  *output = bound.name;
}

std::string OnnxWriter::unique(const std::string& name) {
  std::string candidate = name;
  for (int i = 1; !names_.insert(candidate).second; ++i) candidate = name + "_" + std::to_string(i);
  return candidate;
}

}  // namespace lockstep

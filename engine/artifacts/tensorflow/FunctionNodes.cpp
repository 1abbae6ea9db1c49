#include "engine/artifacts/tensorflow/FunctionNodes.h"

#include <variant>

#include "engine/artifacts/tensorflow/ElementTypes.h"

namespace lockstep {

namespace tf = tensorflow;

namespace {

template <typename T>
tf::AttrValue tensor_message(ElementType type, const std::vector<std::int64_t>& sizes, const std::vector<T>& numbers) {
  return to_message(
      TensorflowConstant{type, sizes, {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T)}});
}

}  // namespace

tf::AttrValue to_message(const TensorflowAttribute& attribute) {
  tf::AttrValue message;
  if (const auto* flag = std::get_if<bool>(&attribute)) {
    message.set_b(*flag);
  } else if (const auto* number = std::get_if<float>(&attribute)) {
    message.set_f(*number);
  } else if (const auto* integer = std::get_if<std::int64_t>(&attribute)) {
    message.set_i(*integer);
  } else if (const auto* text = std::get_if<std::string>(&attribute)) {
    message.set_s(*text);
  } else if (const auto* type = std::get_if<ElementType>(&attribute)) {
    message.set_type(to_tensorflow(*type));
  } else if (const auto* list = std::get_if<std::vector<std::int64_t>>(&attribute)) {
    message.mutable_list()->mutable_i()->Add(list->begin(), list->end());
  } else {
    const auto& constant = std::get<TensorflowConstant>(attribute);
    tf::TensorProto& tensor = *message.mutable_tensor();
    tensor.set_dtype(to_tensorflow(constant.type));
    *tensor.mutable_tensor_shape() = shape_to_tensorflow(constant.sizes);
    tensor.set_tensor_content(constant.bytes);
  }
  return message;
}

void FunctionNodes::add(const std::string& name, const std::string& op, const std::vector<std::string>& inputs,
                        const Attributes& attributes) {
  tf::NodeDef& node = *function_.add_node_def();
  node.set_name(name);
  node.set_op(op);
  for (const std::string& input : inputs) node.add_input(input);
  for (const auto& [key, value] : attributes) (*node.mutable_attr())[key] = value;
}

std::string FunctionNodes::constant(const std::string& name, const tf::AttrValue& value) {
  add(name, "Const", {}, {{"dtype", type(value.tensor().dtype())}, {"value", value}});
  return name + ":output:0";
}

std::string FunctionNodes::scalar(const std::string& name, std::int32_t number) {
  return constant(name, tensor_message(ElementType::kInt32, {}, std::vector{number}));
}

std::string FunctionNodes::vector(const std::string& name, const std::vector<std::int32_t>& numbers) {
  return constant(name, tensor_message(ElementType::kInt32, {std::ssize(numbers)}, numbers));
}

std::string FunctionNodes::vector(const std::string& name, const std::vector<float>& numbers) {
  return constant(name, tensor_message(ElementType::kFloat, {std::ssize(numbers)}, numbers));
}

std::string FunctionNodes::vector(const std::string& name, const std::vector<double>& numbers) {
  return constant(name, tensor_message(ElementType::kDouble, {std::ssize(numbers)}, numbers));
}

std::string FunctionNodes::vector(const std::string& name, const std::vector<std::string>& texts) {
  tf::AttrValue value;
  tf::TensorProto& tensor = *value.mutable_tensor();
  tensor.set_dtype(tf::DT_STRING);
  *tensor.mutable_tensor_shape() = shape_to_tensorflow({std::ssize(texts)});
  for (const std::string& text : texts) tensor.add_string_val(text);
  return constant(name, value);
}

tf::AttrValue FunctionNodes::type(tf::DataType type) {
  tf::AttrValue value;
  value.set_type(type);
  return value;
}

tf::AttrValue FunctionNodes::types(const Types& types) {
  tf::AttrValue value;
  value.mutable_list();
  for (const tf::DataType type : types) value.mutable_list()->add_type(type);
  return value;
}

tf::AttrValue FunctionNodes::shape(const std::vector<std::int64_t>& sizes) {
  tf::AttrValue value;
  *value.mutable_list()->add_shape() = shape_to_tensorflow(sizes);
  return value;
}

tf::AttrValue FunctionNodes::function(const std::string& name) {
  tf::AttrValue value;
  value.mutable_func()->set_name(name);
  return value;
}

}  // namespace lockstep

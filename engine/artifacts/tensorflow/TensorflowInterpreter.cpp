#include "engine/artifacts/tensorflow/TensorflowInterpreter.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "common/Error.h"
#include "engine/artifacts/tensorflow/TensorflowOperators.h"
#include "engine/artifacts/tensorflow/TensorflowTypes.h"
#include "engine/program/Program.h"

namespace lockstep {

namespace {

void require_kernel(const TensorflowNode& node, const std::vector<at::Tensor>& inputs) {
  const auto found = node.attributes.find("T");
  const auto* type = found == node.attributes.end() ? nullptr : std::get_if<ElementType>(&found->second);
  if (!type) return;
  const at::ScalarType scalar = scalar_type_from_archive(static_cast<int>(*type));
  const bool given = std::ranges::any_of(inputs, [&](const at::Tensor& each) { return each.scalar_type() == scalar; });
  if (given && has_tensorflow_kernel(node.op, *type)) return;
  throw InternalError("TensorFlow's " + node.op + " is not of " + to_string(*type) + " in node " + node.name);
}

}  // namespace

TensorflowInterpreter::TensorflowInterpreter(const SavedModel& model) : function_(model.function()) {
  for (const TensorflowVariable& variable : function_.variables) {
    BundleTensor value = model.value(variable);
    // The tensor is of the bytes that were read: a large one is there once.
    const auto bytes = std::make_shared<std::string>(std::move(value.bytes));
    variables_[variable.argument] = at::from_blob(
        bytes->data(), value.sizes, [bytes](void*) {},
        at::TensorOptions(scalar_type_from_archive(static_cast<int>(value.type))));
  }
}

TensorflowInterpreter::TensorflowInterpreter(TensorflowFunction function, std::map<std::string, at::Tensor> variables)
    : function_(std::move(function)), variables_(std::move(variables)) {}

std::vector<at::Tensor> TensorflowInterpreter::run(const std::map<std::string, at::Tensor>& inputs) const {
  const c10::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> values = variables_;  // by reference
  const auto value = [&](const std::string& reference) {
    const auto found = values.find(reference);
    if (found == values.end())
      throw InternalError("a SavedModel's function reads " + reference + " before it is there");
    return found->second;
  };
  for (const TensorflowTensor& input : function_.inputs) values[input.reference] = inputs.at(input.name);
  for (const TensorflowNode& node : function_.nodes) {
    const TensorflowOperator& op = tensorflow_operator(node.op);
    Tensors arguments;
    for (const std::string& input : node.inputs) arguments.push_back(value(input));
    require_kernel(node, arguments);
    const Tensors results = op.run(TensorflowCall(node, std::move(arguments)));
    const std::size_t last = op.outputs.size() - 1;
    for (std::size_t i = 0; i < results.size(); ++i) {
      const std::size_t index = i > last ? i - last : 0;  // the last name may be that of a list
      values[node.name + ":" + op.outputs.at(i > last ? last : i) + ":" + std::to_string(index)] = results[i];
    }
  }
  std::vector<at::Tensor> outputs;
  for (const TensorflowTensor& output : function_.outputs) outputs.push_back(value(output.reference));
  return outputs;
}

}  // namespace lockstep

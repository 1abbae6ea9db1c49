// The TensorFlow operators that SavedModels of ours hold: what each is, said with PyTorch's operators. Source: the
// operator definitions and CPU kernels of TensorFlow 2.21.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/artifacts/tensorflow/TensorflowFunction.h"

namespace lockstep {

using Tensors = std::vector<at::Tensor>;

/// One call of an operator: its inputs, and its attributes typed.
class TensorflowCall {
 public:
  TensorflowCall(const TensorflowNode& node, Tensors inputs) : node_(node), inputs_(std::move(inputs)) {}

  const Tensors& inputs() const { return inputs_; }
  const at::Tensor& in(std::size_t i) const { return inputs_.at(i); }
  /// An input that is a vector or a scalar of integers.
  std::vector<std::int64_t> integers(std::size_t i) const;
  std::int64_t integer(std::size_t i) const { return integers(i).at(0); }
  template <typename T>
  const T& get(const std::string& name) const {
    const auto found = node_.attributes.find(name);
    const T* value = found == node_.attributes.end() ? nullptr : std::get_if<T>(&found->second);
    if (!value) throw InternalError("node " + node_.name + " of a SavedModel has no valid attribute " + name);
    return *value;
  }
  bool flag(const std::string& name) const { return get<bool>(name); }
  std::int64_t number(const std::string& name) const { return get<std::int64_t>(name); }
  at::ScalarType type(const std::string& name) const;
  /// What TensorFlow demands of inputs and attributes where PyTorch takes more. Throws InternalError when it is not so.
  void require(bool valid) const;
  void require(const std::string& name, const std::string& value) const { require(get<std::string>(name) == value); }

 private:
  const TensorflowNode& node_;
  Tensors inputs_;
};

struct TensorflowOperator {
  std::vector<std::string> outputs;  ///< their names; the last may be that of a list
  std::function<Tensors(const TensorflowCall&)> run;
};

/// Throws InternalError for an operator that has no row.
const TensorflowOperator& tensorflow_operator(const std::string& op);

using TensorflowOperatorRows = std::map<std::string, TensorflowOperator>;
TensorflowOperatorRows elementwise_tensorflow_operators();
TensorflowOperatorRows shape_tensorflow_operators();
TensorflowOperatorRows image_tensorflow_operators();
TensorflowOperatorRows reduction_tensorflow_operators();

/// A row of an operator with one output.
TensorflowOperator tensorflow_row(std::string output, std::function<at::Tensor(const TensorflowCall&)> run);
/// A tensor of these bytes. Throws InputError when they are not those of its sizes.
at::Tensor tensor_of(ElementType type, const std::vector<std::int64_t>& sizes, const std::string& bytes);

}  // namespace lockstep

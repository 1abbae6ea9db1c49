#include "engine/artifacts/tensorflow/TensorflowOperators.h"

#include <ATen/Functions.h>

#include <cstring>
#include <utility>

#include "common/Text.h"
#include "engine/program/Program.h"

namespace lockstep {

std::vector<std::int64_t> TensorflowCall::integers(std::size_t i) const {
  require(in(i).dim() <= 1 && (in(i).scalar_type() == at::kInt || in(i).scalar_type() == at::kLong));
  const at::Tensor flat = in(i).to(at::kLong).contiguous();
  return {flat.const_data_ptr<std::int64_t>(), flat.const_data_ptr<std::int64_t>() + flat.numel()};
}

at::ScalarType TensorflowCall::type(const std::string& name) const {
  return scalar_type_from_archive(static_cast<int>(get<ElementType>(name)));
}

void TensorflowCall::require(bool valid) const {
  if (valid) return;
  std::vector<std::string> found;
  for (const at::Tensor& input : inputs_) {
    found.push_back(std::string(c10::toString(input.scalar_type())) + " [" + join(input.sizes().vec(), ", ") + "]");
  }
  throw InternalError("TensorFlow's " + node_.op + " does not take " + join(found, ", ") + " in node " + node_.name);
}

TensorflowOperator tensorflow_row(std::string output, std::function<at::Tensor(const TensorflowCall&)> run) {
  return {{std::move(output)}, [run = std::move(run)](const TensorflowCall& call) { return Tensors{run(call)}; }};
}

const TensorflowOperator& tensorflow_operator(const std::string& op) {
  static const TensorflowOperatorRows rows = [] {
    TensorflowOperatorRows all = elementwise_tensorflow_operators();
    all.merge(shape_tensorflow_operators());
    all.merge(image_tensorflow_operators());
    all.merge(reduction_tensorflow_operators());
    return all;
  }();
  const auto found = rows.find(op);
  if (found == rows.end()) throw InternalError("operator " + op + " of a SavedModel is not known");
  return found->second;
}

const std::string& output_name(const std::string& op) { return tensorflow_operator(op).outputs.at(0); }

at::Tensor tensor_of(ElementType type, const std::vector<std::int64_t>& sizes, const std::string& bytes) {
  at::Tensor tensor = at::empty(sizes, scalar_type_from_archive(static_cast<int>(type)));
  if (tensor.nbytes() != bytes.size()) {
    throw InputError("a tensor of a SavedModel does not have the bytes of its sizes");
  }
  if (!bytes.empty()) std::memcpy(tensor.mutable_data_ptr(), bytes.data(), bytes.size());
  return tensor;
}

}  // namespace lockstep

#include "engine/artifacts/tensorflow/TensorflowInterpreter.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/Program.h"

namespace lockstep {

namespace {

using Ints = std::vector<std::int64_t>;
using Inputs = std::vector<at::Tensor>;

at::Tensor tensor_of(ElementType type, const Ints& sizes, const std::string& bytes) {
  at::Tensor tensor = at::empty(sizes, scalar_type_from_archive(static_cast<int>(type)));
  if (tensor.nbytes() != bytes.size())
    throw InputError("a tensor of a SavedModel does not have the bytes of its sizes");
  std::memcpy(tensor.mutable_data_ptr(), bytes.data(), bytes.size());
  return tensor;
}

/// A node's attributes, typed.
class Attributes {
 public:
  explicit Attributes(const TensorflowNode& node) : node_(node) {}

  template <typename T>
  const T& get(const std::string& name) const {
    const auto found = node_.attributes.find(name);
    const T* value = found == node_.attributes.end() ? nullptr : std::get_if<T>(&found->second);
    if (!value) throw InternalError("node " + node_.name + " of a SavedModel has no valid attribute " + name);
    return *value;
  }
  bool flag(const std::string& name) const { return get<bool>(name); }
  /// Of the two spatial dimensions of NHWC.
  Ints spatial(const std::string& name) const {
    const Ints& all = get<Ints>(name);
    return {all.at(1), all.at(2)};
  }
  void require(const std::string& name, const std::string& value) const {
    if (get<std::string>(name) != value) throw InternalError("node " + node_.name + " has an unexpected " + name);
  }

 private:
  const TensorflowNode& node_;
};

Ints integers(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kLong).flatten().contiguous();
  return {flat.const_data_ptr<std::int64_t>(), flat.const_data_ptr<std::int64_t>() + flat.numel()};
}

at::Tensor to_nchw(const at::Tensor& image) { return image.permute({0, 3, 1, 2}); }
at::Tensor to_nhwc(const at::Tensor& image) { return image.permute({0, 2, 3, 1}); }

// What TensorFlow demands of an operator's inputs where PyTorch takes more.
void require(bool valid, const std::string& op, const Inputs& in) {
  if (valid) return;
  std::vector<std::string> found;
  for (const at::Tensor& input : in) {
    found.push_back(std::string(c10::toString(input.scalar_type())) + " [" + join(input.sizes().vec(), ", ") + "]");
  }
  throw InternalError("TensorFlow's " + op + " does not take " + join(found, ", "));
}

bool is_vector_of(const at::Tensor& tensor, std::int64_t size) { return tensor.dim() == 1 && tensor.size(0) == size; }

// AddV2, Mul and Sub: one type; runs of dimensions that broadcast alike are one, and there are kernels for five.
void require_broadcast(const std::string& op, const Inputs& in) {
  require(in[0].scalar_type() == in[1].scalar_type() &&
              broadcast_runs(in[0].sizes().vec(), in[1].sizes().vec()) <= kMaxBroadcastRuns,
          op, in);
}

// Paddings [[before, after], ...] of every dimension, as at::constant_pad_nd wants them: last dimension first.
Ints padding_from_the_end(const Ints& paddings) {
  Ints result;
  for (std::size_t i = paddings.size(); i >= 2; i -= 2) {
    result.push_back(paddings[i - 2]);
    result.push_back(paddings[i - 1]);
  }
  return result;
}

at::Tensor conv2d(const Inputs& in, const Attributes& attributes) {
  attributes.require("padding", "EXPLICIT");
  attributes.require("data_format", "NHWC");
  require(in[0].dim() == 4 && in[1].dim() == 4, "Conv2D", in);
  const at::Tensor x =
      to_nchw(at::constant_pad_nd(in[0], padding_from_the_end(attributes.get<Ints>("explicit_paddings")), 0));
  const at::Tensor weight = in[1].permute({3, 2, 0, 1});
  return to_nhwc(at::conv2d(x, weight, {}, attributes.spatial("strides"), Ints{0, 0}, attributes.spatial("dilations"),
                            x.size(1) / weight.size(1)));
}

at::Tensor pool(const Inputs& in, const Attributes& attributes, bool max) {
  attributes.require("padding", "VALID");
  attributes.require("data_format", "NHWC");
  const Ints window = attributes.spatial("ksize");
  const Ints strides = attributes.spatial("strides");
  require(in[0].dim() == 4, max ? "MaxPool" : "AvgPool", in);
  const at::Tensor x = to_nchw(in[0]);
  return to_nhwc(max ? at::max_pool2d(x, window, strides) : at::avg_pool2d(x, window, strides));
}

at::Tensor fused_batch_norm(const Inputs& in, const Attributes& attributes) {
  attributes.require("data_format", "NHWC");
  if (attributes.flag("is_training")) throw InternalError("a SavedModel's batch norm is in training");
  const std::int64_t channels = in[0].size(-1);
  require(in[0].dim() == 4 && std::ranges::all_of(in.begin() + 1, in.end(),
                                                  [&](const at::Tensor& each) {
                                                    return is_vector_of(each, channels) &&
                                                           each.scalar_type() == at::kFloat;
                                                  }),
          "FusedBatchNormV3", in);
  return (in[0] - in[3]) * (in[4] + attributes.get<float>("epsilon")).rsqrt() * in[1] + in[2];
}

using Operator = std::function<at::Tensor(const Inputs&, const Attributes&)>;

const std::map<std::string, Operator>& operators() {
  static const std::map<std::string, Operator> table = {
      {"AddV2",
       [](const Inputs& in, const Attributes&) {
         require_broadcast("AddV2", in);
         return in[0] + in[1];
       }},
      {"AvgPool", [](const Inputs& in, const Attributes& attributes) { return pool(in, attributes, false); }},
      {"BatchMatMulV2",
       [](const Inputs& in, const Attributes& attributes) {
         if (attributes.flag("adj_x") || !attributes.flag("adj_y")) throw InternalError("an unexpected BatchMatMulV2");
         require(in[0].dim() >= 2 && in[1].dim() >= 2, "BatchMatMulV2", in);
         return at::matmul(in[0], in[1].transpose(-1, -2));
       }},
      {"BiasAdd",
       [](const Inputs& in, const Attributes& attributes) {
         attributes.require("data_format", "NHWC");
         require(in[0].dim() >= 2 && is_vector_of(in[1], in[0].size(-1)), "BiasAdd", in);
         return in[0] + in[1];
       }},
      {"Const",
       [](const Inputs&, const Attributes& attributes) {
         const auto& value = attributes.get<TensorflowConstant>("value");
         return tensor_of(value.type, value.sizes, value.bytes);
       }},
      {"Conv2D", conv2d},
      {"FusedBatchNormV3", fused_batch_norm},
      {"MatMul",
       [](const Inputs& in, const Attributes& attributes) {
         if (attributes.flag("transpose_a") || !attributes.flag("transpose_b"))
           throw InternalError("an unexpected MatMul");
         require(in[0].dim() == 2 && in[1].dim() == 2, "MatMul", in);
         return at::mm(in[0], in[1].t());
       }},
      {"MaxPool", [](const Inputs& in, const Attributes& attributes) { return pool(in, attributes, true); }},
      {"Mean",
       [](const Inputs& in, const Attributes& attributes) {
         return at::mean(in[0], integers(in[1]), attributes.flag("keep_dims"));
       }},
      {"Mul",
       [](const Inputs& in, const Attributes&) {
         require_broadcast("Mul", in);
         return in[0] * in[1];
       }},
      {"PadV2",
       [](const Inputs& in, const Attributes&) {
         return at::constant_pad_nd(in[0], padding_from_the_end(integers(in[1])), in[2].item());
       }},
      {"ReadVariableOp", [](const Inputs& in, const Attributes&) { return in[0]; }},
      {"Relu", [](const Inputs& in, const Attributes&) { return in[0].relu(); }},
      {"Reshape", [](const Inputs& in, const Attributes&) { return in[0].reshape(integers(in[1])); }},
      {"Rsqrt", [](const Inputs& in, const Attributes&) { return in[0].rsqrt(); }},
      {"Sub",
       [](const Inputs& in, const Attributes&) {
         require_broadcast("Sub", in);
         return in[0] - in[1];
       }},
      {"Transpose", [](const Inputs& in, const Attributes&) { return in[0].permute(integers(in[1])); }},
  };
  return table;
}

}  // namespace

TensorflowInterpreter::TensorflowInterpreter(const SavedModel& model) : function_(model.function()) {
  for (const TensorflowVariable& variable : function_.variables) {
    const BundleTensor value = model.value(variable);
    variables_[variable.argument] = tensor_of(value.type, value.sizes, value.bytes);
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
    const auto found = operators().find(node.op);
    if (found == operators().end()) throw InternalError("operator " + node.op + " of a SavedModel is not known");
    Inputs arguments;
    for (const std::string& input : node.inputs) arguments.push_back(value(input));
    values[node.name + ":" + output_name(node.op) + ":0"] = found->second(arguments, Attributes(node));
  }
  std::vector<at::Tensor> outputs;
  for (const TensorflowTensor& output : function_.outputs) outputs.push_back(value(output.reference));
  return outputs;
}

}  // namespace lockstep

// Writes programs: the same graphs that torch.export makes, so that there is one kind of model in the engine.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/program/Program.h"

namespace lockstep {

/// Builds a program layer by layer, in its training form, float32, with a batch dimension of free size.
///
/// Holds the graph so far, the state with its initial values, and the generator they are drawn from: the same seed
/// gives the same program. Layers are initialized as torch.nn initializes them. Each layer method checks the shape it
/// is given (InputError names the layer) and returns the value it computes; `build` ends it.
class GraphBuilder {
 public:
  /// A tensor in the graph. Sizes leave the batch dimension out.
  struct Value {
    std::string name;
    std::vector<std::int64_t> sizes;
  };

  explicit GraphBuilder(std::uint64_t seed);

  Value input(const std::string& name, std::vector<std::int64_t> sizes);

  /// Parameters `layer.weight` [channels, in, kernel, kernel] and `layer.bias`; stride 1.
  Value conv2d(const Value& x, const std::string& layer, std::int64_t channels, std::int64_t kernel,
               std::int64_t padding);
  /// Parameters and running statistics of torch.nn.BatchNorm2d under `layer.`; momentum 0.1, epsilon 1e-5.
  Value batch_norm(const Value& x, const std::string& layer);
  /// Parameters `layer.weight` [features, in] and `layer.bias`.
  Value linear(const Value& x, const std::string& layer, std::int64_t features);
  Value relu(const Value& x);
  Value max_pool2d(const Value& x, std::int64_t kernel);  ///< stride = kernel, no padding
  Value dropout(const Value& x, double probability);
  Value flatten(const Value& x);  ///< all dimensions but the batch

  Program build(const std::string& name, const Value& output);

 private:
  std::string parameter(const std::string& name, const std::vector<std::int64_t>& sizes, double bound);
  std::string state(const std::string& name, InputKind kind, const at::Tensor& tensor);
  Value add(const std::string& op, const std::string& overload, std::vector<NamedArgument> inputs,
            std::vector<std::int64_t> sizes);
  void describe_value(const std::string& name, at::ScalarType type, const nlohmann::json& sizes,
                      const nlohmann::json& strides, bool requires_grad);

  at::Generator generator_;
  std::map<std::string, at::Tensor> state_;
  std::vector<GraphInput> state_inputs_;
  std::vector<GraphInput> user_inputs_;
  std::vector<Node> nodes_;
  std::map<std::string, int> name_uses_;
  nlohmann::json tensor_values_ = nlohmann::json::object();
};

}  // namespace lockstep

// Writes programs: the same graphs that torch.export makes, so that there is one kind of model in the engine.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/program/InitialValues.h"
#include "engine/program/Program.h"

namespace lockstep {

/// Builds a program node by node, in its training form, float32, with a batch dimension of free size, and, if asked
/// for, sequences of free length.
///
/// Holds the graph so far, the state with its initial values, and the generator they are drawn from: the same seed
/// gives the same program. `input`, `parameter`, `node` and the layers of Layers.h make values; `build` ends it.
class GraphBuilder {
 public:
  using Sizes = std::vector<std::int64_t>;
  static constexpr std::int64_t kOpen = -1;  ///< a size: the length that open_length speaks of

  /// A tensor in the graph. Sizes leave the batch dimension out.
  struct Value {
    std::string name;
    Sizes sizes;
    bool batched = true;  ///< false: a parameter or a buffer, or a part of one
  };
  /// What a node returns.
  struct Result {
    Sizes sizes;
    bool batched = true;
    at::ScalarType type = at::kFloat;
  };

  explicit GraphBuilder(std::uint64_t seed);

  /// One size of inputs, kOpen, is free: from 1 to `most`.
  void open_length(std::int64_t most) { longest_ = most; }
  /// Throws InputError for a name that cannot be one of Python's, as inputs of torch.export's programs are named.
  Value input(const std::string& name, Sizes sizes, at::ScalarType type = at::kFloat);
  Value parameter(const std::string& name, const Sizes& sizes, const Initial& initial);
  Value buffer(const std::string& name, const at::Tensor& tensor);
  /// The same parameter under another name.
  Value tied(const std::string& name, const Value& parameter);

  /// A call of an ATen operator: "add.Tensor". Values of `inputs` are named by `tensor`.
  Value node(const std::string& op, std::vector<NamedArgument> inputs, Result result);
  static NamedArgument tensor(const std::string& argument, const Value& value);
  /// A size of sample: what is known now, else what a node finds when the program runs.
  SymInt size(std::int64_t size);
  /// The number of samples, which a node finds.
  SymInt batch_size();

  Program build(const std::string& name, const Value& output);

 private:
  std::string unused_name(const std::string& base);
  Value state(const std::string& name, InputKind kind, const at::Tensor& tensor);
  void describe(const std::string& name, const Result& result, bool requires_grad);
  SymInt found_size(const std::string& symbol);

  at::Generator generator_;
  std::int64_t longest_ = 0;
  std::map<std::string, at::Tensor> state_;
  std::vector<GraphInput> state_inputs_;
  std::vector<Value> user_inputs_;
  std::vector<Node> nodes_;
  std::map<std::string, int> name_uses_;
  std::map<std::string, std::string> found_sizes_;  ///< symbol → the value of the node that finds it
  nlohmann::json tensor_values_ = nlohmann::json::object();
  nlohmann::json size_values_ = nlohmann::json::object();
};

}  // namespace lockstep

#include <map>
#include <set>

#include "engine/program/Executor.h"
#include "tests/support/PrimitiveCases.h"

namespace lockstep {

namespace {

// A parameter of float32, without which Program::to would leave the types as they are.
constexpr const char* kUnread = "unread";

// By the sizes that a dimension has in all batches.
class DimensionNames {
 public:
  Dimension name(const std::vector<std::int64_t>& sizes) {
    if (std::set<std::int64_t>(sizes.begin(), sizes.end()).size() == 1) return sizes[0];
    return names_.try_emplace(sizes, "s" + std::to_string(names_.size())).first->second;
  }

 private:
  std::map<std::vector<std::int64_t>, std::string> names_;
};

Node call_of(std::string target, std::vector<NamedArgument> inputs, std::vector<Argument> outputs) {
  Node node;
  node.target = std::move(target);
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  return node;
}

}  // namespace

PrimitiveCaseBuilder& PrimitiveCaseBuilder::input(const std::string& name, std::vector<at::Tensor> batches) {
  given_.push_back({name, std::move(batches), false});
  return *this;
}

PrimitiveCaseBuilder& PrimitiveCaseBuilder::state(const std::string& name, const at::Tensor& tensor) {
  given_.push_back({name, {tensor}, true});
  return *this;
}

PrimitiveCaseBuilder& PrimitiveCaseBuilder::call(const std::string& op, std::vector<NamedArgument> arguments,
                                                 const std::vector<std::string>& results) {
  std::vector<Argument> outputs;
  for (const std::string& result : results) outputs.emplace_back(TensorName{result});
  nodes_.push_back(call_of("torch.ops.aten." + op, std::move(arguments), std::move(outputs)));
  return *this;
}

PrimitiveCaseBuilder& PrimitiveCaseBuilder::call_list(const std::string& op, std::vector<NamedArgument> arguments,
                                                      const std::vector<std::string>& results) {
  TensorNames names;
  names.names.assign(results.begin(), results.end());
  nodes_.push_back(call_of("torch.ops.aten." + op, std::move(arguments), {names}));
  return *this;
}

PrimitiveCaseBuilder& PrimitiveCaseBuilder::size(const std::string& tensor, std::int64_t dim,
                                                 const std::string& result) {
  nodes_.push_back(
      call_of("torch.ops.aten.sym_size.int", {tensor_argument("self", tensor), {"dim", dim}}, {SymInt{result}}));
  return *this;
}

PrimitiveCaseBuilder& PrimitiveCaseBuilder::arithmetic(const std::string& operation, const SymInt& a, const SymInt& b,
                                                       const std::string& result) {
  nodes_.push_back(call_of("_operator." + operation, {{"", a}, {"", b}}, {SymInt{result}}));
  return *this;
}

Graph PrimitiveCaseBuilder::graph(const std::vector<std::string>& outputs,
                                  const std::vector<std::pair<std::string, int>>& types,
                                  const std::vector<TestGraph::Sizes>& sizes) const {
  TestGraph graph;
  graph.parameter(kUnread, {1});
  for (const Given& each : given_) {
    const int type = scalar_type_to_archive(each.tensors[0].scalar_type());
    TestGraph::Sizes own(each.tensors[0].sizes().begin(), each.tensors[0].sizes().end());
    if (each.state) {
      graph.parameter(each.name, own, type);
    } else {
      graph.input(each.name, own, type);
    }
  }
  for (std::size_t i = 0; i < types.size(); ++i) graph.describe(types[i].first, sizes[i], types[i].second);
  for (const Node& node : nodes_) graph.call(node);
  return graph.returns(outputs);
}

PrimitiveCase PrimitiveCaseBuilder::returns(const std::vector<std::string>& outputs) const {
  std::map<std::string, at::Tensor> state = {{kUnread, at::zeros({1})}};
  std::size_t count = 1;
  for (const Given& each : given_) {
    if (each.state) state[each.name] = each.tensors[0];
    if (!each.state) count = each.tensors.size();
  }
  std::vector<std::vector<at::Tensor>> batches(count);
  for (const Given& each : given_) {
    for (std::size_t i = 0; i < count && !each.state; ++i) batches[i].push_back(each.tensors.at(i));
  }
  // All that nodes make, to see of which types and sizes it is.
  std::vector<std::string> all;
  for (const Node& node : nodes_) {
    for (const std::string& result : node.results()) all.push_back(result);
  }
  Executor executor(Program(name_, graph(all, {}, {}), state));
  std::vector<std::vector<at::Tensor>> seen;
  for (const std::vector<at::Tensor>& batch : batches) {
    std::vector<at::Tensor> copies;
    for (const at::Tensor& tensor : batch) copies.push_back(tensor.clone());
    seen.push_back(executor.run(copies));
  }
  DimensionNames names;
  std::vector<std::pair<std::string, int>> types;
  std::vector<TestGraph::Sizes> sizes;
  const auto describe = [&](const std::string& name, const std::vector<at::Tensor>& tensors) {
    types.emplace_back(name, scalar_type_to_archive(tensors[0].scalar_type()));
    TestGraph::Sizes& own = sizes.emplace_back();
    for (std::int64_t dim = 0; dim < tensors[0].dim(); ++dim) {
      std::vector<std::int64_t> each;
      for (const at::Tensor& tensor : tensors) each.push_back(tensor.size(dim));
      own.push_back(names.name(each));
    }
  };
  for (const Given& each : given_) describe(each.name, each.tensors);
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::vector<at::Tensor> tensors;
    for (const std::vector<at::Tensor>& run : seen) tensors.push_back(run.at(i));
    describe(all[i], tensors);
  }
  return {name_, Program(name_, graph(outputs, types, sizes), state), std::move(batches)};
}

NamedArgument tensor_argument(const std::string& argument, const std::string& value) {
  return {argument, TensorName{value}};
}

NamedArgument tensors_argument(const std::string& argument, const std::vector<std::string>& values) {
  TensorNames names;
  for (const std::string& value : values) names.names.push_back(value.empty() ? std::nullopt : std::optional(value));
  return {argument, names};
}

NamedArgument sizes_argument(const std::string& argument, const std::vector<SymInt>& values) {
  return {argument, values};
}

}  // namespace lockstep

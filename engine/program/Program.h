// A program: a graph and the tensors it holds (parameters, buffers, constants).
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "engine/program/Graph.h"

namespace lockstep {

/// One tensor of a program's state under its dotted name.
struct StateTensor {
  std::string name;  ///< `fc.weight`, as in PyTorch's state dict
  InputKind kind = InputKind::kParameter;
  at::Tensor tensor;
  bool in_state_dict = true;  ///< PyTorch's: parameters and persistent buffers are
};

/// A graph and its state. Copies share tensors. Tied parameters (two names of one tensor) are one tensor here.
///
/// A program is read from an Archive, or built by a GraphBuilder; an Executor runs it; training changes its tensors.
class Program {
 public:
  /// Takes state by dotted name; every parameter, buffer and constant the graph names must be in it.
  Program(std::string name, Graph graph, std::map<std::string, at::Tensor> state);

  const std::string& name() const { return name_; }
  const Graph& graph() const { return graph_; }

  /// The tensor bound to a graph input of kind parameter, buffer or constant.
  const at::Tensor& tensor(const GraphInput& input) const;
  /// All parameters, buffers and constants in the order of the graph's inputs, every name once.
  std::vector<StateTensor> state() const;
  /// All names of a tensor of the state, in the same order: several when it is tied.
  std::vector<std::string> names_of(const at::Tensor& tensor) const;
  /// Parameters to train (requires_grad), each tensor once, in the order in which backward meets them: the reverse of
  /// their first use in the graph. Parameters that no node uses are not among them.
  std::vector<StateTensor> trained_parameters() const;
  /// Floating-point buffers that a node changes in place (running statistics), each tensor once.
  std::vector<StateTensor> running_statistics() const;
  /// Elements of all parameters, tied ones once.
  std::int64_t parameter_count() const;

  /// The same program with every float32 tensor, and every float32 that the graph names, as `type` (kFloat, kDouble).
  /// One without float32 parameters was exported in another type, and names float32 where it means it: it stays as it
  /// is.
  Program to(at::ScalarType type) const;
  /// The same state under another graph.
  Program with_graph(Graph graph) const;
  /// The same program with `to[i]` in the place of the tensor `from[i]`, under all its names.
  Program with_tensors(const std::vector<at::Tensor>& from, const std::vector<at::Tensor>& to) const;
  /// The same program with all tensors in row-major order; those that are not are copied.
  Program row_major() const;
  /// The same program in the memory of `device`; a copy when it is elsewhere.
  Program on(const c10::Device& device) const;
  /// A copy that shares no tensor with this one, in the memory of `device`.
  Program clone(const c10::Device& device = c10::Device(c10::kCPU)) const;

  /// Identifies graph and tensors: ranks compare it.
  std::string digest() const;

 private:
  std::string name_;
  Graph graph_;
  std::map<std::string, at::Tensor> state_;
};

/// c10's type for the archive's number; throws InputError for one that is not known.
at::ScalarType scalar_type_from_archive(int number);
int scalar_type_to_archive(at::ScalarType type);

}  // namespace lockstep

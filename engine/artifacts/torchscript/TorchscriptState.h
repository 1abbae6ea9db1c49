// The state of a program as the attributes of TorchScript's modules.
#pragma once

#include <torch/csrc/jit/api/module.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/program/Program.h"

namespace lockstep {

/// Modules within modules, one for each part of a dotted name, and where each tensor of a program lies in them.
class TorchscriptState {
 public:
  explicit TorchscriptState(const Program& program);

  const torch::jit::Module& root() const { return modules_.at({}).module; }
  /// The attributes that lead from the root to the tensor of an input of the graph.
  const std::vector<std::string>& path(const GraphInput& input) const { return paths_.at(input.state_name); }

 private:
  struct Placed {
    torch::jit::Module module;
    std::vector<std::string> path;  ///< the attributes that lead to it
  };

  Placed& place(const std::vector<std::string>& names);
  at::Tensor own(const at::Tensor& tensor);

  std::shared_ptr<torch::jit::CompilationUnit> unit_ = std::make_shared<torch::jit::CompilationUnit>();
  std::map<std::vector<std::string>, Placed> modules_;     // by the parts of their dotted names
  std::map<std::string, std::vector<std::string>> paths_;  // by dotted name
  std::map<const void*, at::Tensor> tensors_;              // tied ones are one
};

}  // namespace lockstep

// Runs a SavedModel's function with PyTorch's operators, by the definitions of TensorFlow's, and refuses what its
// operators refuse: the check that a SavedModel computes what the program computes.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "engine/artifacts/tensorflow/SavedModel.h"

namespace lockstep {

/// Holds the variables' values.
class TensorflowInterpreter {
 public:
  /// Throws InputError for a value that is damaged.
  explicit TensorflowInterpreter(const SavedModel& model);
  /// `variables`: by argument, of the function's types and sizes.
  TensorflowInterpreter(TensorflowFunction function, std::map<std::string, at::Tensor> variables);

  /// Inputs by name; returns the outputs in order. Throws InternalError for an operator it does not know, and for one
  /// that TensorFlow would not run on the tensors it is given.
  std::vector<at::Tensor> run(const std::map<std::string, at::Tensor>& inputs) const;

 private:
  TensorflowFunction function_;
  std::map<std::string, at::Tensor> variables_;  // by argument
};

}  // namespace lockstep

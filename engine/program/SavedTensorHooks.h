// What autograd keeps of the tensors that operators save for backward.
#pragma once

#include <torch/csrc/autograd/saved_variable_hooks.h>

#include <memory>

namespace lockstep {

/// Is asked for each tensor that an operator saves while it runs.
class SavedTensorKeeper {
 public:
  virtual ~SavedTensorKeeper() = default;
  /// What autograd hands the tensor to, and asks for it in backward.
  virtual std::unique_ptr<torch::autograd::SavedVariableHooks> hooks() = 0;
};

/// While one lives, this thread's operators hand what they save to the keeper: what PyTorch's saved_tensors_hooks does,
/// which only Python can reach. The innermost one holds.
///
/// A program that links this has an autograd engine of ours in the place of PyTorch's from the start, which differs
/// from it in that alone.
class SavedTensorScope {
 public:
  explicit SavedTensorScope(SavedTensorKeeper& keeper);
  ~SavedTensorScope();
  SavedTensorScope(const SavedTensorScope&) = delete;
  SavedTensorScope& operator=(const SavedTensorScope&) = delete;

 private:
  SavedTensorKeeper* outer_;
};

}  // namespace lockstep

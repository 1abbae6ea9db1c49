// Runs a program.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "engine/program/BatchNormalizer.h"
#include "engine/program/Interpreter.h"
#include "engine/program/Program.h"
#include "engine/program/Recomputation.h"
#include "engine/program/SizeCheck.h"

namespace lockstep {

/// A program prepared for running, and the values of a run under way.
///
/// Holds no tensors but the program's own (it sees changes made to them in place). `run` calls each node's operator
/// boxed through PyTorch's dispatcher, so autograd records it unless the caller turned gradients off, and drops every
/// value after its last use. Not thread-safe: one run at a time.
class Executor {
 public:
  /// Throws what ExecutionPlan throws. `trains`: backward will run from the outputs. `normalizer`: is called in place
  /// of batch norms that take statistics of their batch, which it judges itself; it must outlive this, and the graph
  /// must be one that require_batch_norms accepts. Null: operators compute them. `recomputation`: of the program's
  /// graph; it holds while gradients are on.
  explicit Executor(const Program& program, bool trains = false, BatchNormalizer* normalizer = nullptr,
                    RecomputationPlan recomputation = {});

  /// Inputs in the order of the program's user inputs; returns its outputs. Throws InputError, naming node and source
  /// line, when an operator refuses its arguments; SingleValueError, naming the layer too, when one takes
  /// statistics of a single number to train by them, or to update running statistics. With a check, of this program's
  /// graph, also for the first value that is not as the graph says.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs, SizeCheck* check = nullptr);
  /// Calls the normalizer as `run` would, in the same order, each time with an input that has no samples.
  void normalize_nothing();

 private:
  void execute(std::size_t begin, std::size_t end, SizeCheck* check, BatchNormStatistics* found);
  void run_stretch(const RecomputationPlan::Stretch& stretch, SizeCheck* check);
  std::vector<at::Tensor> take_outputs();

  // Autograd's graph of a run refers to both for as long as it lives.
  std::shared_ptr<const Interpreter> interpreter_;
  std::shared_ptr<const RecomputationPlan> recomputation_;
  Values values_;
};

}  // namespace lockstep

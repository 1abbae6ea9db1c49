// Runs the program operator by operator, and backward by PyTorch's autograd.
#pragma once

#include <ATen/core/Generator.h>

#include <optional>
#include <vector>

#include "engine/collectives/AutogradGradients.h"
#include "engine/objective/Objective.h"
#include "engine/program/Executor.h"
#include "engine/train/StepComputation.h"
#include "engine/train/SyncBatchNorm.h"
#include "engine/train/WholeBatch.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Dropout draws from PyTorch's default generator of the device. While batch norms take statistics over ranks,
/// gradients are told to their sink when backward is over: buckets' collectives do not come between batch norms', whose
/// order they would change from rank to rank, and would hold up.
class EagerComputation : public StepComputation {
 public:
  struct Options {
    Precision precision = Precision::kFp32;
    std::uint64_t seed = 0;
    int rank = 0;
    Communicator* batch_norm = nullptr;  ///< of the ranks over which batch norm takes statistics; null: each its own
    /// For a loss over the whole batch; without, it is that of this rank's samples alone.
    std::optional<WholeBatch> whole_batch{};
    RecomputationPlan recomputation{};  ///< of the program's graph
  };

  /// Keeps references to the program, whose trained parameters are those of `parameters`, and to these.
  EagerComputation(const Program& program, const Objective& objective, FlatParameters& parameters, Options options);

  void seed(std::int64_t global_step, std::int64_t micro_batch) override;
  void begin_step() override { gradients_.begin_step(); }
  Share forward(const Batch& batch, std::int64_t global_batch_size) override;
  void backward(const at::Tensor& scale, GradientSink* sink) override;
  void idle() override;
  bool together() const override { return sync_.has_value() || options_.whole_batch.has_value(); }
  /// Computes a micro-batch once more, with checks: which operator of the program was the first to make a number that
  /// is not finite, "" when none has. To be called between steps. Statistics, gradients and what ranks share stay as
  /// they are; a loss over the whole batch is that of this micro-batch alone.
  std::string find_operator(const Batch& batch, std::int64_t global_batch_size, double scale);
  void end_step(GradientSink& sink) override { gradients_.end_step(sink); }

 private:
  Objective::BatchLoss loss_of(std::vector<at::Tensor> outputs, const Batch& batch) const;

  const Program& program_;
  std::optional<SyncBatchNorm> sync_;
  Executor executor_;
  Objective objective_;
  AutogradGradients gradients_;
  Options options_;
  at::Generator generator_;
  at::Tensor loss_;  ///< of the last `forward`, with its graph
};

}  // namespace lockstep

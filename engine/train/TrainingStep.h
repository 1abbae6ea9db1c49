// One step: forward, backward, all-reduce, optimizer.
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <optional>

#include "engine/collectives/Communicator.h"
#include "engine/collectives/FlatParameters.h"
#include "engine/collectives/GradientReducer.h"
#include "engine/data/Loader.h"
#include "engine/optim/Optimizer.h"
#include "engine/program/Executor.h"
#include "engine/train/LossScale.h"
#include "engine/train/Objective.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Runs the steps of a job on this rank. All ranks run the same steps and hold the same parameters after each.
///
/// The gradient of a step is the sum over all samples of all ranks divided by the loss's own denominator, however
/// unevenly the samples are spread: each micro-batch's summed loss is divided by the denominator of the whole global
/// batch, and gradients are added up. A rank without data takes part with zeros.
class TrainingStep {
 public:
  struct Options {
    Precision precision = Precision::kFp32;
    double clip_norm = 0;  ///< 0: no clipping
    std::uint64_t seed = 0;
    std::optional<LossScale> loss_scale{};
  };
  struct Result {
    double loss = 0;       ///< the mean over the global batch
    bool skipped = false;  ///< the gradient overflowed: no parameter changed, and the loss scale halved
  };

  /// Keeps references; `parameters` and `optimizer` belong to the program of `executor`.
  TrainingStep(Executor& executor, Objective objective, FlatParameters& parameters, GradientReducer& reducer,
               Optimizer& optimizer, Communicator& communicator, Options options);

  /// Takes the micro-batches of one step from `loader`; `batch_size` is the step's size over all ranks. Throws on all
  /// ranks alike when the loss, or with clip_norm or fp16 the gradient, is not finite and no smaller loss scale mends
  /// it.
  Result run(Loader& loader, const SampleShape& shape, std::int64_t batch_size, std::int64_t global_step,
             double learning_rate);

  const std::optional<LossScale>& loss_scale() const { return options_.loss_scale; }

 private:
  Executor& executor_;
  Objective objective_;
  FlatParameters& parameters_;
  GradientReducer& reducer_;
  Optimizer& optimizer_;
  Communicator& communicator_;
  Options options_;
  at::Generator generator_;
};

}  // namespace lockstep

// Runs the program operator by operator, and backward by PyTorch's autograd.
#pragma once

#include <ATen/core/Generator.h>

#include "engine/collectives/AutogradGradients.h"
#include "engine/objective/Objective.h"
#include "engine/program/Executor.h"
#include "engine/train/StepComputation.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Dropout draws from PyTorch's default generator of the device.
class EagerComputation : public StepComputation {
 public:
  struct Options {
    Precision precision = Precision::kFp32;
    std::uint64_t seed = 0;
    int rank = 0;
  };

  /// Keeps references to the program, whose trained parameters are those of `parameters`, and to these.
  EagerComputation(const Program& program, const Objective& objective, FlatParameters& parameters, Options options);

  void seed(std::int64_t global_step, std::int64_t micro_batch) override;
  void begin_step() override { gradients_.begin_step(); }
  Share forward(const Batch& batch, std::int64_t global_batch_size) override;
  void backward(const at::Tensor& scale, GradientSink* sink) override;
  void end_step(GradientSink& sink) override { gradients_.end_step(sink); }

 private:
  Executor executor_;
  Objective objective_;
  AutogradGradients gradients_;
  Options options_;
  at::Generator generator_;
  at::Tensor loss_;  ///< of the last `forward`, with its graph
};

}  // namespace lockstep

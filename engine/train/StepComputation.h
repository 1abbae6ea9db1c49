// What computes the loss and the gradients of a step on this rank.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "engine/collectives/GradientSink.h"
#include "engine/train/Batch.h"

namespace lockstep {

/// For each step: `begin_step`; `seed`, `forward` and `backward` for each of its micro-batches; `end_step`. Gradients
/// add up in their places (FlatParameters::gradients). A rank without data in a step calls `begin_step` and `end_step`
/// only. All that is computed is enqueued on the current stream, and reads nothing of the host's that changes from step
/// to step but the seed: a step can be captured, and is then replayed after `seed` alone.
class StepComputation {
 public:
  /// What a micro-batch adds to the loss of the global batch. Tensors are on the device, of no dimensions.
  struct Share {
    at::Tensor loss;      ///< Σ weight · loss over its positions ÷ `expected`
    at::Tensor weight{};  ///< Σ weight over its positions; undefined: `here`
    double here = 0;      ///< its weight when each position weighs 1
    double expected = 0;  ///< the global batch's weight when each position weighs 1
  };

  virtual ~StepComputation() = default;

  /// What is drawn at random from here on is a function of these, of the job's seed and of the rank.
  virtual void seed(std::int64_t global_step, std::int64_t micro_batch) = 0;
  virtual void begin_step() = 0;
  /// `global_batch_size`: in samples, over all ranks and micro-batches of the step. Throws InputError when the program
  /// cannot be run on such a batch.
  virtual Share forward(const Batch& batch, std::int64_t global_batch_size) = 0;
  /// Adds the gradients of what the last `forward` has returned, times `scale`, a number on the device; undefined: 1.
  /// `sink`: given with the last micro-batch of a step, it hears of each gradient as soon as it is ready; null before.
  virtual void backward(const at::Tensor& scale, GradientSink* sink) = 0;
  /// Takes part in what other ranks compute together in a micro-batch of which this rank has no samples. Ranks whose
  /// micro-batches are fewer than others' call it for each that they lack, behind their own: see `together`.
  virtual void idle() {}
  /// Whether ranks compute something together, so that each must call `forward` and `backward`, or `idle`, equally
  /// often in a step.
  virtual bool together() const { return false; }
  /// Tells `sink` of the gradients of the step that it has not heard of.
  virtual void end_step(GradientSink& sink) = 0;
};

}  // namespace lockstep

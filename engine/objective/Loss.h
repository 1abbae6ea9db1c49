// What training minimizes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace lockstep {

/// What some samples add to the loss of a global batch.
struct LossTerms {
  at::Tensor sum;       ///< Σ weight · loss over their positions, of no dimensions, with its gradient
  at::Tensor weight{};  ///< Σ weight, of no dimensions; undefined: each position weighs 1
};

/// A loss over the outputs of a program. A sample has one or several positions, each with a loss of its own: a label,
/// or a number. The loss of a global batch is Σ sum / Σ weight over all its samples, as PyTorch's reduction='mean'
/// divides, so that any split of the batch over ranks and micro-batches adds up to the same.
///
/// A position weighs 1, or what the job's options and the sample's own weight make of it; one that is ignored weighs 0.
/// Training scales backward by the weight that is expected when no position weighs anything else, and corrects for the
/// actual weight once it is known: see TrainingStep.
///
/// Implementations hold no state that changes. `sample_weights` is undefined where the data has none; else it is
/// [batch], or [batch, …] as the targets, and may not be negative.
class Loss {
 public:
  virtual ~Loss() = default;

  /// Whether targets are class labels (int64); else they are real numbers.
  virtual bool class_labels() const = 0;
  /// Positions of each sample whose output looks like `output`.
  virtual std::int64_t positions(const at::Tensor& output) const = 0;
  /// Throws InputError when the sizes of `output` and `targets` do not fit: numbers that fit by their count alone may
  /// be other samples'. In float32 when the output is bf16 or fp16.
  virtual LossTerms terms(const at::Tensor& output, const at::Tensor& targets,
                          const at::Tensor& sample_weights) const = 0;
  /// The weight of each position, for metrics: real numbers, or booleans where every weight is 0 or 1; undefined: all
  /// are 1. Of a shape that broadcasts to that of what is compared with the targets.
  virtual at::Tensor weights(const at::Tensor& targets, const at::Tensor& sample_weights) const = 0;

  /// What `samples` such samples weigh when each position weighs 1.
  double expected_weight(std::int64_t samples, const at::Tensor& output) const {
    return static_cast<double>(samples) * static_cast<double>(positions(output));
  }
};

/// Throws InputError unless outputs and targets are of as many samples: both begin with the batch. An output of no
/// dimensions is that of one sample.
void require_same_batch(const std::string& loss, const at::Tensor& output, const at::Tensor& targets);
/// Sample weights with as many dimensions as `like`: those that they lack follow, of size 1. Throws InputError when
/// they do not fit.
at::Tensor weights_beside(const at::Tensor& sample_weights, const at::Tensor& like);
/// "[32, 10]"
std::string sizes_text(const at::Tensor& tensor);

}  // namespace lockstep

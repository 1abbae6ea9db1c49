// What training minimizes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

/// What some samples add to the loss of a global batch.
struct LossTerms {
  at::Tensor sum;       ///< Σ weight · loss over their positions, of no dimensions, with its gradient
  at::Tensor weight{};  ///< Σ weight, of no dimensions; undefined: each position weighs 1
};

/// What a loss compares with what, position by position: for metrics.
struct Compared {
  at::Tensor output;   ///< class scores [batch, …, classes] beside labels; else of the targets' sizes
  at::Tensor targets;  ///< [batch, …]: class labels (int64), or numbers
  /// Of the positions, broadcasting to them: real, or boolean where each is 0 or 1; undefined: 1.
  at::Tensor weights{};
};

/// Between which numbers targets must lie.
struct TargetRange {
  double least = 0;
  double most = 0;
  std::optional<double> except{};  ///< a number that is ignored
  std::string expected;            ///< for messages: "mse takes …"
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

  /// Whether targets that are stored as integers are class labels (int64); all others are real numbers.
  virtual bool class_labels() const = 0;
  /// Whether it compares an output with targets; else there are none, and no weights of samples.
  virtual bool takes_targets() const { return true; }
  /// Whether the program itself computes it (loss=program): it sees that output, and as weights what the program says.
  virtual bool of_program() const { return false; }
  /// Whether what a sample adds depends on all others of the global batch: then `terms` takes the outputs of all ranks
  /// at once, and each rank has to run its share of a step at once, too.
  virtual bool of_whole_batch() const { return false; }
  /// Whether outputs are logits of yes or no, beside targets from 0 (no) to 1 (yes).
  virtual bool binary() const { return false; }
  /// What targets that are real numbers must be; nothing: any.
  virtual std::optional<TargetRange> target_range() const { return std::nullopt; }
  /// Positions of each sample whose output looks like `output`.
  virtual std::int64_t positions(const at::Tensor& output) const = 0;
  /// Throws InputError when the sizes of `output` and `targets` do not fit: numbers that fit by their count alone may
  /// be other samples'. In float32 when the output is bf16 or fp16.
  virtual LossTerms terms(const at::Tensor& output, const at::Tensor& targets,
                          const at::Tensor& sample_weights) const = 0;
  /// A loss of all that the program returned for `samples` samples, beside targets of any kind, or none: `terms` is not
  /// called then. Nothing: it sees one output.
  virtual std::optional<LossTerms> terms_of_all(const std::vector<at::Tensor>& /*outputs*/,
                                                const at::Tensor& /*targets*/, const at::Tensor& /*sample_weights*/,
                                                std::int64_t /*samples*/) const {
    return std::nullopt;
  }
  /// Of what `terms` takes: what metrics look at. Where positions are ignored, it says so by their weights.
  virtual Compared compared(const at::Tensor& output, const at::Tensor& targets,
                            const at::Tensor& sample_weights) const {
    return {.output = output, .targets = targets, .weights = sample_weights};
  }

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
/// The output, in float32 when it is bf16 or fp16.
at::Tensor widened(const at::Tensor& output);
/// `values`, none of which is `wrong`. On a CPU throws InputError that says what `wanted` of them, and the first that
/// is wrong; elsewhere, where the host does not wait, wrong ones are NaN, and so is the loss.
at::Tensor checked(const at::Tensor& values, const at::Tensor& wrong, const std::string& wanted);
/// "[32, 10]"
std::string sizes_text(const at::Tensor& tensor);

}  // namespace lockstep

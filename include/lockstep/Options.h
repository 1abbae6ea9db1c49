// What a Trainer is made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/Array.h"
#include "lockstep/Visibility.h"

LOCKSTEP_NAMESPACE_BEGIN

/// Some samples with what the program returned for them, for a loss of the caller's own. Everything is in the host's
/// memory, and good until the loss returns.
struct LossCall {
  std::int64_t samples = 0;          ///< how many there are
  std::vector<ArrayView> outputs;    ///< all that the program returned, in its order: [samples, …]
  std::optional<ArrayView> targets;  ///< as the batch had them, if it had, as real numbers of the program's type
  std::optional<ArrayView> weights;  ///< the same
  /// One for each output, of its type and sizes, zero at first: to be set to the derivative of `LossSum::sum` by that
  /// output. None where no gradient is wanted, as in evaluation. An output of integers has one of no data.
  std::vector<MutableArrayView> gradients;
};

/// What the samples of a LossCall add to the loss of the global batch, which is Σ sum / Σ weight over all of them.
struct LossSum {
  double sum = 0;                ///< of the loss over the samples
  std::optional<double> weight;  ///< nothing: as many as there are samples
};

using LossFunction = std::function<LossSum(const LossCall& call)>;

/// A parameter in a bucket.
struct BucketParameter {
  std::string name;          ///< as in PyTorch's state dict
  std::int64_t offset = 0;   ///< of its first number in the bucket
  std::int64_t length = 0;   ///< of its numbers, which are in the order of memory that the program has them in
  bool has_gradient = true;  ///< false: it took no part in the loss, and PyTorch's optimizers leave it as it is
};

/// A contiguous piece of all parameters with their gradients, for an optimizer of the caller's own. Both are float32 or
/// float64 in the host's memory, and good until the optimizer returns. Gradients are those of the global batch: they
/// are summed over all ranks, divided by its weight, and clipped where `clip_norm` says so. Between parameters there
/// may be zeros, which stay zero.
struct BucketCall {
  std::size_t bucket = 0;                   ///< from 0 on
  std::size_t buckets = 1;                  ///< in a step
  std::int64_t step = 0;                    ///< from 1 on
  double learning_rate = 0;                 ///< as the schedule or Trainer::set_learning_rate has it
  MutableArrayView values;                  ///< to be updated: one dimension
  ArrayView gradients;                      ///< of the same type and size
  std::vector<BucketParameter> parameters;  ///< what lies where
};

using OptimizerFunction = std::function<void(const BucketCall& call)>;

/// All that a Trainer is made of; the same on all ranks, but for `channels`.
struct Options {
  /// As flags and job files have them: {"model", "net.pt2"}, {"learning_rate", "0.1"}. docs/library.md says which do
  /// nothing here and are refused.
  std::map<std::string, std::string> hyperparameters;
  /// Directories to train on by steps without a batch, and to evaluate on: `train`, `validation`, `test`. Built-in
  /// programs are built for `train`.
  std::map<std::string, std::string> channels;
  std::vector<std::int64_t> input_shape;  ///< of a built-in program without channels: of one sample
  std::int64_t classes = 0;               ///< the same: width of the output
  /// The caller's own MPI job: what MPI_Comm_c2f makes of its communicator. All of its ranks make a Trainer and call
  /// what is said to be a collective together. Nothing: this process is alone, and MPI is not touched.
  std::optional<int> communicator;
  LossFunction loss;            ///< in place of the hyperparameter `loss`, where there is one
  OptimizerFunction optimizer;  ///< in place of the hyperparameter `optimizer`, where there is one
  /// Is told on rank 0 what whoever trains should know: from where it goes on, what was passed over.
  std::function<void(const std::string& text, bool warning)> note;
};

LOCKSTEP_NAMESPACE_END

// A program that is trained step by step, in a loop of the caller's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/Array.h"
#include "lockstep/Error.h"
#include "lockstep/Options.h"
#include "lockstep/Visibility.h"

LOCKSTEP_NAMESPACE_BEGIN

/// This rank's samples of a step, an evaluation or a prediction. All arrays begin with the number of samples, which may
/// be 0, and may differ from rank to rank. They are copied, and converted as a channel's columns are: bytes become
/// pixels from 0 to 1, other numbers the program's type.
struct Batch {
  std::vector<ArrayView> inputs;     ///< in the order in which the program takes them
  std::optional<ArrayView> targets;  ///< labels of classes are integers; nothing with loss=program
  std::optional<ArrayView> weights;  ///< of samples, or of their targets; nothing: all 1
};

/// What came of a step: the same on all ranks.
struct StepResult {
  std::int64_t step = 0;        ///< that the trainer has done, with this one
  std::int64_t batch_size = 0;  ///< over all ranks
  double loss = 0;              ///< the mean over the global batch, before the update
  double learning_rate = 0;     ///< of this step
  bool skipped = false;         ///< precision=fp16: the gradient overflowed; nothing changed but the loss scale
  bool weightless = false;      ///< no sample counts; nothing changed
};

/// A tensor of the program.
struct TensorInfo {
  std::string name;                 ///< as in PyTorch's state dict: "fc.weight"
  Type type = Type::kFloat32;       ///< of its numbers
  std::vector<std::int64_t> sizes;  ///< the slowest first
  bool trained = false;             ///< else a buffer, or a parameter that is frozen or not used
};

/// Values by metric, in the order in which they are shown: "loss", "accuracy", …
using Metrics = std::vector<std::pair<std::string, double>>;

/// Trains a program on this rank: what a job of `lockstep train` does in a step, when the caller says so. All that
/// ranks do together is a collective: each must call it. One thread at a time may call, always the same; on an MPI job
/// with less than MPI_THREAD_MULTIPLE it is the one that makes MPI calls. An error of kind kInput or kNotFinite leaves
/// the trainer as it was before the call, unless a function of the caller's has thrown while ranks wait for each other.
class LOCKSTEP_API Trainer {
 public:
  /// A collective. Throws Error for what cannot be trained; so does everything here.
  explicit Trainer(const Options& options);
  /// `other` can then only be destroyed, or be assigned to.
  Trainer(Trainer&& other) noexcept;
  /// The same.
  Trainer& operator=(Trainer&& other) noexcept;
  /// Before MPI_Finalize, where there is a communicator.
  ~Trainer();

  int rank() const;            ///< this process's number among the ranks, from 0 on
  int ranks() const;           ///< how many there are
  std::int64_t steps() const;  ///< that were done, with those of what it was resumed from

  /// A collective. One step over this rank's samples and those of the other ranks. Arrays that do not fit, on any rank,
  /// are an error on all.
  StepResult step(const Batch& batch);
  /// A collective. One step over the next global batch of the channel `train`: `batch_size` samples in the order of
  /// `seed`, each once in an epoch. Nothing when `epochs` or `max_steps` are done.
  std::optional<StepResult> step();
  /// The learning rate of the steps to come, the same on all ranks; nothing: as `schedule` says.
  void set_learning_rate(std::optional<double> learning_rate);

  /// A collective. How good the program is in its inference form on all ranks' samples, each counted once.
  Metrics evaluate(const Batch& batch);
  /// A collective. On one of the channels.
  Metrics evaluate(const std::string& channel);
  /// What the program returns in its inference form, in its order; integers and bool as they are, real numbers as
  /// float32 or float64.
  std::vector<Array> predict(const std::vector<ArrayView>& inputs);
  /// The same into memory of the outputs' sizes and any type.
  void predict(const std::vector<ArrayView>& inputs, const std::vector<MutableArrayView>& outputs);

  /// Parameters and buffers, in the program's order.
  std::vector<TensorInfo> tensors() const;
  /// Copies a tensor into memory of its sizes and any type.
  void read(const std::string& name, const MutableArrayView& into) const;
  /// Sets a tensor to numbers of its sizes and any type. The same on all ranks, or they go apart.
  void write(const std::string& name, const ArrayView& from);

  /// A collective. Writes a checkpoint of the state into the directory, as jobs do (`step-000001200`), and keeps the
  /// newest `checkpoint_keep`. The state of the caller's own optimizer is the caller's to keep.
  void save(const std::string& directory);
  /// A collective. Goes on from the newest checkpoint of the directory that all ranks can use; returns its step, or
  /// nothing when there is none. Throws for a directory that holds those of other trainings only; and when a file that
  /// was whole can no longer be read, after which this can only be destroyed.
  std::optional<std::int64_t> resume(const std::string& directory);
  /// A collective. Rank 0 writes the formats of the hyperparameter `export` into the directory, each read back and
  /// compared, with a model card: all of them or none. Returns the artifacts' paths there.
  std::vector<std::string> export_model(const std::string& directory);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Lockstep's version, as in "0.2.0".
LOCKSTEP_API const char* version();

LOCKSTEP_NAMESPACE_END

// When a job writes checkpoints, and what it keeps of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/checkpoint/CheckpointWriter.h"
#include "engine/checkpoint/Snapshot.h"
#include "engine/collectives/Communicator.h"
#include "engine/report/EventSink.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Decides after which steps a checkpoint is due, as the hyperparameter `checkpoint_every` says, has rank 0 write it,
/// and removes older ones. All ranks agree on when; `due` is the same on all of them. A job without a checkpoint
/// directory has one of these too, by which no checkpoint is ever due.
class CheckpointKeeper {
 public:
  /// `directory` may be null. The references must outlive this.
  CheckpointKeeper(const Hyperparameters& hyperparameters, const CheckpointDirectory* directory, Communicator& host,
                   EventSink& events);

  bool enabled() const { return writer_.has_value(); }
  /// Only with a directory: what a job that goes on from its checkpoints must have in common with this one.
  const JobItems& job() const { return writer_->directory().job(); }

  /// Training starts, or goes on after something was restored: time counts from now on.
  void begin() { last_written_ = Clock::now(); }
  /// Whether this rank's clock says that it is time for a checkpoint: only one clock counts, rank 0's. Tell all ranks,
  /// and those call `request`.
  bool clock_is_due() const;
  void request() { due_ = true; }
  /// A step was started, the `global_step`-th, counted from 1.
  void step_started(std::int64_t global_step);
  bool due() const { return due_; }

  /// A checkpoint already holds this: it was restored.
  void restored(std::int64_t step, std::int64_t evaluated_step) { saved_ = {step, evaluated_step}; }
  /// A collective. Has rank 0 write the snapshot that `take`, a collective, returns there, unless a checkpoint already
  /// holds the state after `step` with the evaluation after `evaluated_step`. Training waits until it is written,
  /// so a snapshot that shares its tensors with training will do. Throws alike on all ranks when it cannot be written.
  void save(std::int64_t step, std::int64_t evaluated_step, const std::function<std::optional<Snapshot>()>& take);

 private:
  using Clock = std::chrono::steady_clock;

  CheckpointEvery every_;
  std::optional<CheckpointWriter> writer_;  ///< none without a directory
  Communicator& host_;
  EventSink& events_;
  bool due_ = false;
  std::pair<std::int64_t, std::int64_t> saved_{-1, -1};  ///< step and evaluated step of the last checkpoint
  Clock::time_point last_written_;
  std::vector<std::string> not_pruned_;  ///< what the last checkpoint could not remove
};

}  // namespace lockstep

// When a job writes checkpoints, and what it keeps of them.
#pragma once

#include <c10/core/Event.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/checkpoint/CheckpointWriter.h"
#include "engine/checkpoint/Snapshot.h"
#include "engine/report/EventSink.h"
#include "engine/train/BackgroundSave.h"
#include "engine/train/RankContext.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Decides after which steps a checkpoint is due, as the hyperparameter `checkpoint_every` says, has it written beside
/// training, and removes older ones. All ranks agree on when; `due` is the same on all of them. Rank 0 writes, and with
/// `checkpoint_copies` the first rank of each other place, too. What cannot be written while training goes on is said,
/// and the older ones stay. A job without a checkpoint directory has one of these too, by which no checkpoint is ever
/// due.
class CheckpointKeeper {
 public:
  /// Training waits until a checkpoint is written that it takes itself to be the last.
  enum class Training { kGoesOn, kWaits };
  using Take = std::function<Snapshot()>;

  /// `directory` may be null. The references must outlive this.
  CheckpointKeeper(const Hyperparameters& hyperparameters, const CheckpointDirectory* directory,
                   const RankContext& context, EventSink& events);

  bool enabled() const { return writer_.has_value(); }
  bool writes() const { return writes_; }  ///< this rank does, if any does
  /// Only with a directory: what a job that goes on from its checkpoints must have in common with this one.
  const JobItems& job() const { return writer_->directory().job(); }
  /// Makes room for copies of snapshots like this one, where this rank takes any while training goes on.
  void reserve(const Checkpoint& like);
  std::int64_t bytes() const { return background_ ? background_->bytes() : 0; }  ///< of that room

  /// Training starts, or goes on after something was restored: time counts from now on. A collective.
  void begin();
  /// Whether this rank's clock says that it is time for a checkpoint: only one clock counts, rank 0's. Tell all ranks,
  /// and those call `request`.
  bool clock_is_due() const;
  void request() { due_ = true; }
  /// A step was started, the `global_step`-th, counted from 1. Tells what has become of a checkpoint meanwhile.
  void step_started(std::int64_t global_step);
  bool due() const { return due_; }

  /// A checkpoint already holds this: it was restored.
  void restored(std::int64_t step, std::int64_t evaluated_step) { saved_ = {step, evaluated_step}; }
  /// A collective. Has the snapshot written that `take`, a collective, returns, unless a checkpoint already holds the
  /// state after `step` with the evaluation after `evaluated_step`. One that is still being written is waited for.
  /// Before the event that this returns has come nothing may change what the snapshot shares; nullptr: at once it may.
  c10::Event* save(std::int64_t step, std::int64_t evaluated_step, Training training, const Take& take);
  /// Training has failed: what is being written is not lost with it, if that takes no longer than a few seconds.
  void linger() const {
    if (background_) background_->linger(std::chrono::seconds(4));
  }
  bool saved() const { return !unsaved_; }
  /// Throws, alike on all ranks, when nobody could write the last checkpoint that training has waited for.
  void require_saved() const;

 private:
  using Clock = std::chrono::steady_clock;
  using State = std::pair<std::int64_t, std::int64_t>;  ///< step, and step that was evaluated last

  /// Of the checkpoint that this rank has begun last.
  struct Last {
    Clock::time_point begun;
    double stall = 0;                     ///< that training stood still for it
    std::vector<std::string> not_pruned;  ///< what it could not remove
    std::string failure;                  ///< why it could not be written; "" when it could
    Clock::time_point failure_told;
    bool wait_told = false;  ///< that one had to wait for the one before
  };

  bool already_holds(const State& state, Training training);
  void finish();
  void take_in(const WrittenCheckpoint& written);
  void await_the_one_before(std::int64_t step);
  void tell_failure();
  void tell_failures_of_copies();
  void write_now(const Snapshot& snapshot);

  CheckpointEvery every_;
  bool copies_;
  std::optional<CheckpointWriter> writer_;  ///< none without a directory
  RankContext context_;
  EventSink& events_;
  bool writes_;                                 ///< this rank does
  std::unique_ptr<BackgroundSave> background_;  ///< made when it is needed first
  bool due_ = false;
  State saved_{-1, -1};  ///< of the last checkpoint that was begun, on all ranks
  Last last_;
  std::exception_ptr unsaved_;  ///< why nobody could write the last one
};

}  // namespace lockstep

// One rank of a job, from its configuration to its artifacts.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/report/EventSink.h"
#include "engine/session/LoadedJob.h"
#include "engine/session/Registries.h"
#include "engine/train/RankContext.h"
#include "engine/train/StopToken.h"
#include "engine/train/Trainer.h"
#include "job/JobConfig.h"

namespace lockstep {

/// How a session ended.
struct SessionOutcome {
  bool stopped = false;    ///< on request, before the job's end
  bool kept = true;        ///< what was done is in a checkpoint or in artifacts
  std::int64_t steps = 0;  ///< that the job has done
};

/// Trains a job on this rank, together with the sessions of all other ranks: each has the same configuration but for
/// its host's own paths. Call `prepare`, and then `run` once. Whoever owns the session has started the communicators,
/// set the number of threads and decides where requests to stop come from and where events go.
///
/// Errors are thrown. CollectiveError comes on all ranks at once, which can then leave in good order. After any other
/// error the other ranks wait for this one: the owner must end them. A session that has thrown can only be destroyed.
class TrainingSession {
 public:
  /// What `context` and `events` refer to must outlive the session. Events are told on rank 0 only. `registries`: what
  /// the job can be made of; the same on all ranks.
  TrainingSession(JobConfig config, const RankContext& context, StopToken stop, EventSink& events,
                  Registries registries = {});

  /// A collective. Reads all inputs, checks that the job can run and that all ranks mean the same one, goes on from a
  /// checkpoint if there is one, and says that the run has started. Nothing of an earlier job is touched before all
  /// ranks agree. Throws InputError or CollectiveError for a job that cannot run as it is given. Events say of any
  /// error that the run has failed.
  void prepare();
  /// A collective. Trains to the end or until a rank is asked to stop, then writes artifacts and says that the run has
  /// ended; or, as `prepare` does, that it has failed.
  SessionOutcome run();

  /// What training holds of this rank's memory; nothing before it holds any.
  std::optional<MemoryUse> memory() const { return trainer_ ? std::optional(trainer_->memory()) : std::nullopt; }

 private:
  const Hyperparameters& options() const { return config_.hyperparameters; }
  template <typename Work>
  auto telling_failure(const Work& work);
  void set_up();
  Program checked_program();
  void make_trainer(const Program& rewritten);
  void announce(std::int64_t resumed_step);
  void require_evaluation() const;
  SessionOutcome train();
  void tell_stop(const TrainingResult& result, bool kept, const std::string& note);

  JobConfig config_;
  RankContext context_;
  StopToken stop_;
  EventSink silent_;
  EventSink& events_;  ///< on rank 0 the owner's, else `silent_`
  Registries registries_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::optional<LoadedJob> job_;
  std::optional<Note> precision_;  ///< what there is to tell of it
  std::optional<CheckpointDirectory> checkpoints_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace lockstep

// The process of one rank: what a TrainingSession must not know.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/RankStatus.h"
#include "engine/collectives/Alarm.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/collectives/MpiSession.h"
#include "engine/collectives/PeerWatch.h"
#include "engine/commands/Failure.h"
#include "engine/commands/RankWatchdog.h"
#include "engine/commands/StopSignal.h"
#include "engine/report/EventSinks.h"
#include "engine/session/RankDevice.h"
#include "engine/session/TrainingSession.h"
#include "job/JobConfig.h"
#include "watch/NativeStacks.h"
#include "watch/RankPage.h"
#include "watch/RankPosition.h"

namespace lockstep {

/// Prints a failure to stderr and writes it to the job's failure file.
void report_failure(const JobConfig& config, const std::string& message);

/// Starts MPI, notices ranks that are gone, runs a TrainingSession with this process's console, files and signals, and
/// turns what comes of it into an exit code. One per process: MPI starts once.
class RankProcess {
 public:
  /// Waits for all ranks to start MPI. Ends the process when they have not come in time.
  RankProcess(const JobConfig& config, const StopSignal& stop);

  /// A collective. Returns the exit code. An error that this rank raises alone has ended the others by then.
  int run();

 private:
  void meet();
  void watch_each_other();
  void compare_collectives();
  bool all_are_here();
  int train();
  int conclude(const SessionOutcome& outcome);
  int fail(const Failure& failure);
  int end_all(const std::string& why, int code);
  [[noreturn]] void end_standstill(const std::string& reason);
  std::string where() const;
  std::string memory() const;
  void report(RankStatus status) const;

  /// The launcher's pages for all ranks of this host, or a single one, and which of them is this rank's.
  struct Pages {
    RankPages all;
    std::size_t own;
  };
  static Pages pages_of(const JobConfig& config);

  const JobConfig& config_;
  const StopSignal& stop_;
  Pages pages_;
  RankPage& page_;  ///< this rank's
  StackAnswers answers_;
  RankPosition position_;
  std::optional<Alarm> alarm_;  ///< until all ranks have met
  MpiSession mpi_;
  MpiCommunicator communicator_;
  std::optional<RankWatchdog> watchdog_;  ///< where no launcher of ours watches the ranks
  std::optional<PeerWatch> watch_;        ///< the same
  bool launched_ = false;                 ///< one does
  EventSinks events_;
  // These two outlive an error: a rank that fails alone must end the others before it waits for its GPU, or for them to
  // leave theirs.
  std::optional<RankDevice> device_;
  std::optional<TrainingSession> session_;
  bool training_began_ = false;
};

}  // namespace lockstep

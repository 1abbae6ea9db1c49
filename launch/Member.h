// The launcher of a job's other hosts.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "launch/Connection.h"
#include "launch/JobWatch.h"
#include "launch/Leader.h"
#include "launch/MpirunMessages.h"
#include "launch/Supervisor.h"

namespace lockstep {

/// Meets the leader, runs OpenMPI's daemon when it is told to, and leaves as the leader says. When the leader is lost,
/// all that it has started here ends.
///
/// First `join`; then `attend` as long as this host makes itself ready, and `ready` or `fail`; then `run`.
class Member {
 public:
  /// `own`: this host's report.
  Member(Supervisor& supervisor, Meeting meeting, HostReport own);
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;
  /// Ends what it has started, whose lines come to this object.
  ~Member() { supervisor_.end(); }

  /// Returns when the leader has admitted this host. Throws HostLostError when it has not within the meeting's timeout;
  /// InputError, with the leader's reason, when it never will; StopError after a signal.
  void join();

  /// Hears what the leader says. Throws CollectiveError when the job has ended, with its outcome, and HostLostError
  /// when the leader is lost.
  void attend();
  /// Tells the leader that this host waits for mpirun.
  void ready() { connection_->send({{"type", "ready"}}); }
  /// Tells the leader, and so all hosts, that this one cannot take part.
  void fail(const Error& error);

  /// This host's interface on the way to the leader. After `join`.
  const std::string& interface_name() const { return own_.interface_name; }

  /// What this host runs for its ranks.
  struct Daemon {
    std::string mpi_directory;                     ///< where OpenMPI's daemon is
    std::map<std::string, std::string> variables;  ///< for the ranks of this host
    std::filesystem::path output_dir;              ///< where a rank of this host may leave why it failed
    JobWatch& watch;                               ///< over the ranks of this host
  };

  /// Stays until the leader says how the job ended. A signal to this process is handed on to the leader, which stops
  /// all hosts in good order, after a second one at once. Throws HostLostError when the leader is lost.
  Outcome run(const Daemon& daemon);

 private:
  [[noreturn]] void lose_leader() const;
  std::optional<nlohmann::json> answer(std::chrono::steady_clock::time_point deadline);
  void start(const nlohmann::json& message, const Daemon& daemon);
  void report_end(const Daemon& daemon);
  void tell_states(const JobWatch& watch);
  void describe(const nlohmann::json& message, const JobWatch& watch);

  Supervisor& supervisor_;
  Meeting meeting_;
  HostReport own_;
  std::optional<Connection> connection_;
  MpirunMessages messages_;
  std::chrono::steady_clock::time_point next_states_{};
};

}  // namespace lockstep

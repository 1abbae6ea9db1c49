// The launcher of a job's first host.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launch/CheckIn.h"
#include "launch/Connection.h"
#include "launch/Supervisor.h"

namespace lockstep {

/// How a job has ended on one of its hosts.
struct Outcome {
  int code = 0;
  std::string reason;  ///< why it failed; "": it is done, or has stopped as it was asked to
};

/// Where the hosts of a job meet, and how long they wait for each other.
struct Meeting {
  std::vector<std::string> hosts;  ///< in order; the first leads
  int port = 0;
  std::chrono::seconds timeout{0};
  std::string interface_name;  ///< that the job's configuration names, or ""
};

/// Lets the other hosts check in, hands OpenMPI's daemons to them while mpirun runs, and tells them how the job ended.
/// They hold their connections open all the time: one that closes is a host that is lost. Until the job ends, `lockstep
/// status` may ask at the same port where it is.
///
/// First `gather`, then `run`; then, or after an error of either, `dismiss`.
class Leader {
 public:
  /// Says where the job is, as an object with `stage` and `progress`.
  using Status = std::function<nlohmann::json()>;

  /// Listens. `own`: this host's report. Throws InputError when the port is taken.
  Leader(Supervisor& supervisor, Meeting meeting, HostReport own, Status status);
  ~Leader();

  /// Returns when all hosts have come: their reports, in the order of hosts. Throws HostLostError, with the missing
  /// ones, after the meeting's timeout; InputError when a host was given another job; StopError after a signal.
  std::vector<HostReport> gather();

  /// The name of the local socket for `lockstep remote-start`.
  const std::string& socket_name() const { return socket_name_; }

  /// Stays while the supervisor's command, mpirun, runs, and until the daemons on the other hosts have ended too.
  /// Throws HostLostError when a host is lost.
  void run(Stopper& stopper);

  /// What a rank on another host has left as the reason of its failure, or "". After `run`.
  std::string failure_of_a_host() const;

  /// Tells all hosts how the job ended, and waits for them to leave.
  void dismiss(const Outcome& outcome) noexcept;

 private:
  struct Newcomer;
  struct Member;
  struct Agent;
  using Clock = std::chrono::steady_clock;

  std::vector<int> wait();
  void hear_newcomers();
  bool hear(Newcomer& newcomer);
  void answer(Newcomer& newcomer, const nlohmann::json& question);
  void hear_members();
  void hear_agents();
  Member* member(const std::string& host);
  bool daemons_run() const;

  Supervisor& supervisor_;
  Meeting meeting_;
  CheckIn check_in_;
  Status status_;
  bool gathered_ = false;  ///< nobody is admitted any more
  FileDescriptor listener_;
  std::string socket_name_;
  FileDescriptor local_listener_;
  std::vector<std::unique_ptr<Newcomer>> newcomers_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Agent>> agents_;
  std::optional<int> stop_;  ///< a signal that another host's launcher got
  bool stop_now_ = false;    ///< it got a second one
};

}  // namespace lockstep

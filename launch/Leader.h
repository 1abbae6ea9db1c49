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
#include "launch/JobWatch.h"
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
  int fewest = 0;              ///< hosts with which a job goes on that has lost others; 0: it needs all
  std::string interface_name;  ///< that the job's configuration names, or ""
};

/// Lets the other hosts check in, hands OpenMPI's daemons to them while mpirun runs, and tells them how the job ended.
/// They hold their connections open all the time: one that closes is a host that is lost. Until the job ends, `lockstep
/// status` may ask at the same port where it is.
///
/// First `gather`, then `attend` as long as this host makes itself ready, `await_ready` and `run`; then, or after an
/// error of any of them, `dismiss`. Where the meeting says so (`fewest`), hosts may also come while ranks run, in the
/// place of lost ones: `has_grown`. After that, or when `run` has thrown HostLostError, `regroup` and `run` again.
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

  /// Hears what hosts say. Throws HostLostError when one is lost, CollectiveError when one has failed before it was
  /// ready, and StopError after a signal to one.
  void attend();
  /// Returns when all hosts are ready for mpirun. Throws as `attend` does, and StopError after a signal.
  void await_ready();
  /// When the supervisor's command has ended: has the others end what they have started, and waits until the fewest
  /// hosts are there. Their reports, in the order of hosts. Throws HostLostError after the meeting's timeout, StopError
  /// after a signal.
  std::vector<HostReport> regroup();
  /// Whether a host has come since the ranks were started, which they should end for in good order.
  bool has_grown() const { return grown_; }

  /// The name of the local socket for `lockstep remote-start`.
  const std::string& socket_name() const { return socket_name_; }

  /// Stays while the supervisor's command, mpirun, runs, and until the daemons on the other hosts have ended too.
  /// Throws HostLostError when a host is lost, and StandstillError, when all is said of it, where the ranks stand
  /// still.
  /// When a host has come meanwhile, `regrouper` is asked to stop the command.
  void run(Stopper& stopper, Stopper& regrouper, JobWatch& watch);

  /// What a rank on another host has left as the reason of its failure, or "". After `run`.
  std::string failure_of_a_host() const;

  /// Tells all hosts how the job ended, and waits for them to leave. Of a failure before all have come, those that come
  /// within the next two seconds hear, too.
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
  void lose(Member& member);
  void end_daemons();
  [[noreturn]] void end_standstill(const Standstill& standstill);
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
  JobWatch* watch_ = nullptr;         ///< while the ranks run
  std::vector<RankDetails> details_;  ///< that members have told
  std::optional<int> stop_;           ///< a signal that another host's launcher got
  bool stop_now_ = false;             ///< it got a second one
  bool runs_ = false;                 ///< ranks were started
  bool grown_ = false;                ///< and hosts have come since
};

}  // namespace lockstep

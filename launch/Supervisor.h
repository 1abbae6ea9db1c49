// Runs a command and everything it starts, watches it, and ends all of it.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/File.h"

namespace lockstep {

class BlockedSignals;
class PatientOutput;
class PipeReader;

/// The signals that end a process which does nothing about them, but for those that this one ignores: nohup means it.
sigset_t ending_signals();

/// A launcher's loop: it waits for its command, for signals to this process and for sockets of its caller at once. At
/// most one command runs at a time.
///
/// As long as it lives, the signals that would end this process do nothing but come out of `wait` (SIGPIPE and SIGXFSZ
/// do nothing at all: the write fails that they are about), and this process adopts orphans and reaps them (also those
/// it has as PID 1). Its end is the end of all that the command has started.
class Supervisor {
 public:
  /// `to_end`: how long `end` waits for what it has killed.
  explicit Supervisor(std::chrono::milliseconds to_end = std::chrono::seconds(10));
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  ~Supervisor();

  /// Runs `command` in a process group of its own with standard input from /dev/null and `variables` added to its
  /// environment. Its standard output goes to std::cout and its standard error line by line to `error_line`, from
  /// `wait`. When this process is killed, the command gets SIGTERM. `shielded`: SIGTERM does not reach the command, for
  /// a scheduler sends it to all processes of a job at once, and this one alone knows how the command stops in good
  /// order; it gets SIGINT then when this process is killed. Throws LaunchError when it cannot be started.
  void start(const std::vector<std::string>& command, std::function<void(const std::string&)> error_line,
             const std::map<std::string, std::string>& variables = {}, bool shielded = false);
  bool running() const { return command_ > 0; }
  /// Of the command that ended last: its own code, or kExitSignal + the signal that ended it.
  int exit_code() const { return exit_code_; }

  /// Returns as soon as something has happened (the command wrote or ended, one of `files` can be read, a signal
  /// came), or after `limit`. Returns the signals.
  std::vector<int> wait(std::span<const int> files, std::chrono::milliseconds limit);

  /// From now on `wait` also writes what this output keeps. It must live as long as this object.
  void serve(PatientOutput& output) { outputs_.push_back(&output); }
  /// Gives the readers of all outputs so long to take the rest; a signal ends that.
  void flush(std::chrono::milliseconds limit);

  /// To the command alone, and to its whole group. They do nothing when it has ended.
  void signal_command(int number) const;
  void signal_group(int number) const;
  /// Kills the command, if it runs, and its descendants, wherever they have moved to; takes its last lines. A process
  /// that is still there after a time, as one that is in the kernel, is waited for no more, also in the next call.
  void end();

 private:
  void reap();

  std::unique_ptr<BlockedSignals> signals_;
  std::chrono::milliseconds to_end_;
  std::vector<pid_t> given_up_;  ///< that were not gone in that time
  std::vector<PatientOutput*> outputs_;
  std::unique_ptr<PipeReader> output_;
  std::unique_ptr<PipeReader> errors_;
  pid_t command_ = 0;
  int exit_code_ = 0;
};

/// How a command is ended when this process gets a signal.
struct Stopping {
  /// With a signal of its own the command alone gets it, once, as soon as `listens` says that it will not be lost.
  /// Without one its whole group gets SIGTERM.
  std::optional<int> gentle_signal{};
  std::function<bool()> listens{};
  double grace_seconds = 5;
  /// How long it may take to listen at all, and to listen yet when it is asked to end.
  double seconds_to_listen = 1e9;
  double seconds_to_listen_yet = 10;
};

/// The end of a supervised command on request: it is told to end, as `Stopping` says, and its group gets SIGKILL when
/// it has not ended after the grace, or does not come to listen.
class Stopper {
 public:
  Stopper(const Supervisor& supervisor, Stopping stopping);

  /// The first request counts; `signal` says what it came from.
  void request(int signal);
  /// A signal to this process: a request, or, half a second and more after one, the end at once.
  void signalled(int signal);
  /// To be called after each `wait`.
  void drive();
  /// The signal after which the command was told to end.
  std::optional<int> requested() const { return requested_; }
  /// Whether the command was ended because it did not come to listen, without any request.
  bool never_listened() const { return never_listened_; }

 private:
  using Clock = std::chrono::steady_clock;

  const Supervisor& supervisor_;
  Stopping stopping_;
  std::optional<int> requested_;
  Clock::time_point requested_at_;
  Clock::time_point to_listen_;  ///< the latest
  Clock::time_point deadline_;
  bool listened_ = false;
  bool told_ = false;
  bool never_listened_ = false;
};

/// How a supervised command ended.
struct Ending {
  int exit_code = 0;
  std::optional<int> stopped_by;  ///< the signal to this process after which it was ended
  bool never_listened = false;    ///< see Stopper
};

/// Stays until the command that was started has ended, stopping it after a signal to this process. `turn` is called
/// some times a second; what it throws ends the supervision, and the command still runs.
Ending supervise(
    Supervisor& supervisor, const Stopping& stopping, const std::function<void()>& turn = [] {});

}  // namespace lockstep

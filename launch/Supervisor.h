// Runs a command and everything it starts, watches it, and ends all of it.
#pragma once

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
class LineReader;

/// A launcher's loop: it waits for its command, for signals to this process and for sockets of its caller at once. At
/// most one command runs at a time.
///
/// As long as it lives, SIGTERM, SIGINT and SIGHUP do nothing but come out of `wait`, and this process adopts orphans
/// and reaps them (also those it has as PID 1). Its end is the end of all that the command has started.
class Supervisor {
 public:
  Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  ~Supervisor();

  /// Runs `command` in a process group of its own with standard input from /dev/null and `variables` added to its
  /// environment. Its standard error comes line by line to `error_line`, from `wait`. When this process is killed, the
  /// command gets SIGTERM. Throws SystemError when it cannot be started.
  void start(const std::vector<std::string>& command, std::function<void(const std::string&)> error_line,
             const std::map<std::string, std::string>& variables = {});
  bool running() const { return command_ > 0; }
  /// Of the command that ended last: its own code, or 128 + the signal that ended it.
  int exit_code() const { return exit_code_; }

  /// Returns as soon as something has happened (the command wrote or ended, one of `files` can be read, a signal
  /// came), or after `limit`. Returns the signals.
  std::vector<int> wait(std::span<const int> files, std::chrono::milliseconds limit);

  /// To the command alone, and to its whole group. They do nothing when it has ended.
  void signal_command(int number) const;
  void signal_group(int number) const;
  /// Kills the command, if it runs, and its descendants, wherever they have moved to; takes its last lines.
  void end();

 private:
  void reap();

  std::unique_ptr<BlockedSignals> signals_;
  std::unique_ptr<LineReader> errors_;
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
};

/// The end of a supervised command on request: it is told to end, as `Stopping` says, and its group gets SIGKILL when
/// it has not ended after the grace.
class Stopper {
 public:
  Stopper(const Supervisor& supervisor, Stopping stopping) : supervisor_(supervisor), stopping_(std::move(stopping)) {}

  /// The first request counts; `signal` says what it came from.
  void request(int signal);
  /// A signal to this process: a request, or, after one, the end at once.
  void signalled(int signal);
  /// To be called after each `wait`.
  void drive();
  /// The signal after which the command was told to end.
  std::optional<int> requested() const { return requested_; }

 private:
  using Clock = std::chrono::steady_clock;

  const Supervisor& supervisor_;
  Stopping stopping_;
  std::optional<int> requested_;
  Clock::time_point deadline_;
  bool told_ = false;
};

/// How a supervised command ended.
struct Ending {
  int exit_code = 0;
  std::optional<int> stopped_by;  ///< the signal to this process after which it was ended
};

/// Starts a command and stays until it has ended, stopping it after a signal to this process.
Ending supervise(Supervisor& supervisor, const Stopping& stopping);

}  // namespace lockstep

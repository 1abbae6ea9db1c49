#include "launch/Supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <fstream>
#include <optional>

#include "common/Error.h"
#include "common/File.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

/// Blocks the signals a supervisor waits for, for as long as it lives.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigemptyset(&set_);
    for (const int number : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&set_, number);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  const sigset_t& before() const { return before_; }

  /// The next signal, or nothing after `seconds`.
  std::optional<int> wait(double seconds) const {
    const timespec timeout{.tv_sec = static_cast<time_t>(seconds),
                           .tv_nsec = static_cast<long>((seconds - std::floor(seconds)) * 1e9)};
    const int number = sigtimedwait(&set_, nullptr, &timeout);
    return number > 0 ? std::optional(number) : std::nullopt;
  }

 private:
  sigset_t set_;
  sigset_t before_;
};

// In the child: becomes the command. What fails is told through the pipe, as errno.
[[noreturn]] void become(const std::vector<std::string>& command, const sigset_t& mask, int report) {
  ::setpgid(0, 0);
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  const int null = ::open("/dev/null", O_RDONLY);
  if (null >= 0) ::dup2(null, STDIN_FILENO);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  const int error = errno;
  [[maybe_unused]] const ssize_t written = ::write(report, &error, sizeof error);
  ::_exit(127);
}

int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

// Everything that this process is the parent of, from the kernel's own list.
std::vector<pid_t> children() {
  std::vector<pid_t> all;
  std::ifstream list("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  for (pid_t child; list >> child;) all.push_back(child);
  return all;
}

// Kills what the command left behind. The ranks of mpirun lead process groups of their own, so killing the command's group is
// not enough; as a subreaper this process becomes the parent of all of them once their own has gone.
void kill_descendants() {
  for (int round = 0; round < 100; ++round) {
    for (const pid_t child : children()) ::kill(child, SIGKILL);
    pid_t reaped = 0;
    while ((reaped = ::waitpid(-1, nullptr, WNOHANG)) > 0) {
    }
    if (reaped < 0 && errno == ECHILD) return;
    ::usleep(10'000);
  }
}

}  // namespace

int supervise(const std::vector<std::string>& command, double grace_seconds) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const BlockedSignals signals;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw SystemError(with_errno("cannot make a pipe"));
  FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) throw SystemError(with_errno("cannot start " + command[0]));
  if (child == 0) become(command, signals.before(), ends[1]);
  ::setpgid(child, child);  // also here: whichever of the two comes first
  writer = FileDescriptor();
  if (int error = 0; ::read(reader.get(), &error, sizeof error) == sizeof error) {
    ::waitpid(child, nullptr, 0);
    errno = error;
    throw SystemError(with_errno("cannot start " + command[0]));
  }

  std::optional<int> stopped_by;
  std::optional<Clock::time_point> deadline;
  std::optional<int> result;
  while (!result) {
    const auto number = signals.wait(0.25);
    if (number == SIGTERM || number == SIGINT) {
      const bool again = stopped_by.has_value();
      if (!again) stopped_by = number;
      if (!deadline) deadline = Clock::now() + std::chrono::milliseconds(static_cast<long>(grace_seconds * 1000));
      ::kill(-child, again ? SIGKILL : SIGTERM);
    }
    if (deadline && Clock::now() >= *deadline) ::kill(-child, SIGKILL);
    int status = 0;
    for (pid_t reaped; (reaped = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (reaped == child) result = exit_code(status);
    }
  }
  kill_descendants();
  return stopped_by ? 128 + *stopped_by : *result;
}

}  // namespace lockstep

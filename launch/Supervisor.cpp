#include "launch/Supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <fstream>

#include "common/Error.h"
#include "common/File.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

/// Blocks the signals a supervisor waits for, for as long as it lives, and makes them readable.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&set, number);
    pthread_sigmask(SIG_BLOCK, &set, &before_);
    file_ = FileDescriptor(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    if (!file_) throw SystemError(with_errno("cannot wait for signals"));
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  const sigset_t& before() const { return before_; }
  int file() const { return file_.get(); }
  /// The next signal that has come, or nothing.
  std::optional<int> next() const {
    signalfd_siginfo info;
    return ::read(file_.get(), &info, sizeof info) == sizeof info ? std::optional<int>(info.ssi_signo) : std::nullopt;
  }

 private:
  sigset_t before_;
  FileDescriptor file_;
};

struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw SystemError(with_errno("cannot make a pipe"));
    reader = FileDescriptor(ends[0]);
    writer = FileDescriptor(ends[1]);
  }
  FileDescriptor reader;
  FileDescriptor writer;
};

/// Cuts what comes through a pipe into lines.
class LineReader {
 public:
  LineReader(int file, const std::function<void(const std::string&)>& sink) : file_(file), sink_(sink) {
    ::fcntl(file_, F_SETFL, O_NONBLOCK);
  }

  /// Takes all that is there; false when the other end is closed.
  bool read_available() {
    char buffer[4096];
    for (;;) {
      const ssize_t count = ::read(file_, buffer, sizeof buffer);
      if (count < 0) return errno == EAGAIN || errno == EINTR;
      if (count == 0) return false;
      partial_.append(buffer, static_cast<std::size_t>(count));
      for (std::size_t end; (end = partial_.find('\n')) != std::string::npos; partial_.erase(0, end + 1)) {
        sink_(partial_.substr(0, end));
      }
    }
  }

  void finish() {
    read_available();
    if (!partial_.empty()) sink_(partial_);
  }

 private:
  int file_;
  const std::function<void(const std::string&)>& sink_;
  std::string partial_;
};

// In the child: becomes the command. What fails is told through the pipe, as errno.
[[noreturn]] void become(const std::vector<std::string>& command, const sigset_t& mask, std::optional<int> ignored,
                         int errors, int report) {
  ::setpgid(0, 0);
  if (ignored) ::signal(*ignored, SIG_IGN);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // when the supervisor itself is killed and can end nothing
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  ::dup2(errors, STDERR_FILENO);
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

// Kills what the command left behind. The ranks of mpirun lead process groups of their own, so killing the command's
// group is not enough; as a subreaper this process becomes the parent of all of them once their own has gone.
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

Ending supervise(const std::vector<std::string>& command, const std::function<void(const std::string&)>& error_line,
                 const Stopping& stopping) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const BlockedSignals signals;
  Pipe report;
  Pipe errors;
  const pid_t child = ::fork();
  if (child < 0) throw SystemError(with_errno("cannot start " + command[0]));
  if (child == 0) {
    become(command, signals.before(), stopping.gentle_signal, errors.writer.get(), report.writer.get());
  }
  ::setpgid(child, child);  // also here: whichever of the two comes first
  report.writer = FileDescriptor();
  errors.writer = FileDescriptor();
  if (int error = 0; ::read(report.reader.get(), &error, sizeof error) == sizeof error) {
    ::waitpid(child, nullptr, 0);
    errno = error;
    throw SystemError(with_errno("cannot start " + command[0]));
  }

  LineReader lines(errors.reader.get(), error_line);
  std::array<pollfd, 2> files = {pollfd{.fd = signals.file(), .events = POLLIN, .revents = 0},
                                 pollfd{.fd = errors.reader.get(), .events = POLLIN, .revents = 0}};
  Ending ending;
  std::optional<Clock::time_point> deadline;
  Clock::time_point told;
  for (bool running = true; running;) {
    constexpr int kPollMilliseconds = 100;
    ::poll(files.data(), files.size(), kPollMilliseconds);
    if (files[1].fd >= 0 && !lines.read_available()) files[1].fd = -1;
    while (const auto number = signals.next()) {
      if (*number == SIGCHLD) continue;
      const bool again = ending.stopped_by.has_value();
      if (!again) {
        ending.stopped_by = number;
        deadline = Clock::now() + std::chrono::milliseconds(static_cast<long>(stopping.grace_seconds * 1000));
      }
      if (again || !stopping.gentle_signal) ::kill(-child, again ? SIGKILL : SIGTERM);
    }
    if (ending.stopped_by && stopping.gentle_signal && Clock::now() >= told) {
      ::kill(child, *stopping.gentle_signal);
      told = Clock::now() + std::chrono::seconds(1);
    }
    if (deadline && Clock::now() >= *deadline) ::kill(-child, SIGKILL);
    int status = 0;
    for (pid_t reaped; (reaped = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (reaped != child) continue;
      ending.exit_code = exit_code(status);
      running = false;
    }
  }
  kill_descendants();
  lines.finish();
  return ending;
}

}  // namespace lockstep

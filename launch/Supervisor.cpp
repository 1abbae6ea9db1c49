#include "launch/Supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "common/Error.h"

namespace lockstep {

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

/// Owns the end of a pipe and cuts what comes through it into lines.
class LineReader {
 public:
  LineReader(FileDescriptor pipe, std::function<void(const std::string&)> sink)
      : pipe_(std::move(pipe)), sink_(std::move(sink)) {
    ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
  }

  /// -1 when the other end is closed.
  int file() const { return pipe_.get(); }

  /// Takes all that is there.
  void read_available() {
    char buffer[4096];
    while (pipe_) {
      const ssize_t count = ::read(pipe_.get(), buffer, sizeof buffer);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (count <= 0) {
        pipe_ = FileDescriptor();
        return;
      }
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
  FileDescriptor pipe_;
  std::function<void(const std::string&)> sink_;
  std::string partial_;
};

namespace {

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

// In the child: becomes the command. What fails is told through the pipe, as errno.
[[noreturn]] void become(const std::vector<std::string>& command, const sigset_t& mask,
                         const std::map<std::string, std::string>& variables, int errors, int report) {
  ::setpgid(0, 0);
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
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

int exit_code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

// Everything that this process is the parent of, from the kernel's own list.
std::vector<pid_t> children() {
  std::vector<pid_t> all;
  std::ifstream list("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  for (pid_t child; list >> child;) all.push_back(child);
  return all;
}

}  // namespace

Supervisor::Supervisor() : signals_(std::make_unique<BlockedSignals>()) { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

Supervisor::~Supervisor() { end(); }

void Supervisor::start(const std::vector<std::string>& command, std::function<void(const std::string&)> error_line,
                       const std::map<std::string, std::string>& variables) {
  Pipe report;
  Pipe errors;
  const pid_t child = ::fork();
  if (child < 0) throw SystemError(with_errno("cannot start " + command[0]));
  if (child == 0) become(command, signals_->before(), variables, errors.writer.get(), report.writer.get());
  ::setpgid(child, child);  // also here: whichever of the two comes first
  report.writer = FileDescriptor();
  if (int error = 0; ::read(report.reader.get(), &error, sizeof error) == sizeof error) {
    ::waitpid(child, nullptr, 0);
    errno = error;
    throw SystemError(with_errno("cannot start " + command[0]));
  }
  command_ = child;
  errors_ = std::make_unique<LineReader>(std::move(errors.reader), std::move(error_line));
}

std::vector<int> Supervisor::wait(std::span<const int> files, std::chrono::milliseconds limit) {
  std::vector<pollfd> entries;
  for (const int file : files) entries.push_back({.fd = file, .events = POLLIN, .revents = 0});
  entries.push_back({.fd = signals_->file(), .events = POLLIN, .revents = 0});
  if (errors_) entries.push_back({.fd = errors_->file(), .events = POLLIN, .revents = 0});
  ::poll(entries.data(), entries.size(), static_cast<int>(limit.count()));
  if (errors_) errors_->read_available();
  std::vector<int> came;
  while (const auto number = signals_->next()) {
    if (*number != SIGCHLD) came.push_back(*number);
  }
  reap();
  return came;
}

void Supervisor::reap() {
  int status = 0;
  for (pid_t reaped; (reaped = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    if (reaped != command_) continue;
    exit_code_ = exit_code_of(status);
    command_ = 0;
  }
}

void Supervisor::signal_command(int number) const {
  if (running()) ::kill(command_, number);
}

void Supervisor::signal_group(int number) const {
  if (running()) ::kill(-command_, number);
}

void Supervisor::end() {
  signal_group(SIGKILL);
  // The ranks of mpirun lead process groups of their own, so killing the command's group is not enough; as a subreaper
  // this process becomes the parent of all of them once their own has gone.
  for (int round = 0; round < 100; ++round) {
    reap();
    const std::vector<pid_t> left = children();
    if (left.empty()) break;
    for (const pid_t child : left) ::kill(child, SIGKILL);
    ::usleep(10'000);
  }
  if (errors_) errors_->finish();
  errors_.reset();
}

void Stopper::request(int signal) {
  if (requested_) return;
  requested_ = signal;
  deadline_ = Clock::now() + std::chrono::milliseconds(static_cast<long>(stopping_.grace_seconds * 1000));
  if (!stopping_.gentle_signal) supervisor_.signal_group(SIGTERM);
}

void Stopper::signalled(int signal) {
  if (requested_) supervisor_.signal_group(SIGKILL);
  request(signal);
}

void Stopper::drive() {
  if (!requested_) return;
  const auto now = Clock::now();
  if (now >= deadline_) supervisor_.signal_group(SIGKILL);
  if (stopping_.gentle_signal && !told_ && stopping_.listens()) {
    supervisor_.signal_command(*stopping_.gentle_signal);
    told_ = true;
  }
}

Ending supervise(Supervisor& supervisor, const Stopping& stopping) {
  Stopper stopper(supervisor, stopping);
  while (supervisor.running()) {
    for (const int signal : supervisor.wait({}, std::chrono::milliseconds(100))) stopper.signalled(signal);
    stopper.drive();
  }
  supervisor.end();
  return {.exit_code = supervisor.exit_code(), .stopped_by = stopper.requested()};
}

}  // namespace lockstep

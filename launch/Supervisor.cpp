#include "launch/Supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string_view>

#include "common/Error.h"
#include "launch/PatientOutput.h"

namespace lockstep {

namespace {

// A write that they are about fails as well, and who writes deals with that.
constexpr std::array kSignalsOfWrites = {SIGPIPE, SIGXFSZ};

bool is_ignored(int number) {
  struct sigaction action {};
  return ::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGALRM, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGPROF, SIGXCPU,
                           SIGIO, SIGPWR, SIGSTKFLT}) {
    if (!is_ignored(number)) sigaddset(&set, number);
  }
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) {
    if (!is_ignored(number)) sigaddset(&set, number);
  }
  return set;
}

/// Blocks the signals a supervisor waits for, for as long as it lives, and makes them readable.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t set = ending_signals();
    sigaddset(&set, SIGCHLD);
    file_ = FileDescriptor(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    if (!file_) throw LaunchError(with_errno("cannot wait for signals"));
    pthread_sigmask(SIG_BLOCK, &set, &before_);
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    for (std::size_t i = 0; i < kSignalsOfWrites.size(); ++i) ::sigaction(kSignalsOfWrites[i], &ignore, &writes_[i]);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals() {
    while (next()) {  // too late for what is over
    }
    restore();
  }

  /// As it was: also for a child of this process.
  void restore() const {
    for (std::size_t i = 0; i < kSignalsOfWrites.size(); ++i) ::sigaction(kSignalsOfWrites[i], &writes_[i], nullptr);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

  int file() const { return file_.get(); }
  /// The next signal that has come, or nothing.
  std::optional<int> next() const {
    signalfd_siginfo info;
    return ::read(file_.get(), &info, sizeof info) == sizeof info ? std::optional<int>(info.ssi_signo) : std::nullopt;
  }

 private:
  sigset_t before_;
  std::array<struct sigaction, kSignalsOfWrites.size()> writes_{};
  FileDescriptor file_;
};

/// Owns the end of a pipe and hands over what comes through it.
class PipeReader {
 public:
  using Sink = std::function<void(std::string_view)>;

  PipeReader(FileDescriptor pipe, Sink sink) : pipe_(std::move(pipe)), sink_(std::move(sink)) {
    ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
  }

  /// -1 when the other end is closed.
  int file() const { return pipe_.get(); }

  /// Takes what is there, up to a limit: who writes without end must not keep this process from all else. Returns
  /// whether there may be more.
  bool read_available() {
    constexpr int kMostReads = 64;
    char buffer[4096];
    for (int i = 0; pipe_ && i < kMostReads; ++i) {
      const ssize_t count = ::read(pipe_.get(), buffer, sizeof buffer);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
      if (count <= 0) {
        pipe_ = FileDescriptor();
      } else {
        sink_({buffer, static_cast<std::size_t>(count)});
      }
    }
    return static_cast<bool>(pipe_);
  }

  /// To be called when nobody writes any more.
  void finish() {
    while (read_available()) {
    }
    pipe_ = FileDescriptor();
    sink_({});
  }

 private:
  FileDescriptor pipe_;
  Sink sink_;
};

namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw LaunchError(with_errno("cannot make a pipe"));
    reader = FileDescriptor(ends[0]);
    writer = FileDescriptor(ends[1]);
  }
  FileDescriptor reader;
  FileDescriptor writer;
};

/// A sink of pieces that hands over lines. An empty piece is the end.
PipeReader::Sink by_line(std::function<void(const std::string&)> line) {
  return [line = std::move(line), partial = std::string()](std::string_view piece) mutable {
    constexpr std::size_t kLongest = 64 << 10;
    partial += piece;
    for (std::size_t end; (end = partial.find('\n')) != std::string::npos; partial.erase(0, end + 1)) {
      line(partial.substr(0, end));
    }
    if (partial.empty() || (!piece.empty() && partial.size() < kLongest)) return;
    line(partial);
    partial.clear();
  };
}

// In the child: becomes the command. What fails is told through the pipe, as errno.
[[noreturn]] void become(const std::vector<std::string>& command, const BlockedSignals& signals,
                         const std::map<std::string, std::string>& variables, bool shielded, int output, int errors,
                         int report) {
  ::setpgid(0, 0);
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  ::prctl(PR_SET_PDEATHSIG, shielded ? SIGINT : SIGTERM);  // when the supervisor itself is killed and can end nothing
  signals.restore();
  if (shielded) {
    sigset_t terminate;
    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &terminate, nullptr);
  }
  ::dup2(output, STDOUT_FILENO);
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

int exit_code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : kExitSignal + WTERMSIG(status); }

// Everything that this process is the parent of, from the kernel's own list.
std::vector<pid_t> children() {
  std::vector<pid_t> all;
  std::ifstream list("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  for (pid_t child; list >> child;) all.push_back(child);
  return all;
}

}  // namespace

Supervisor::Supervisor(std::chrono::milliseconds to_end)
    : signals_(std::make_unique<BlockedSignals>()), to_end_(to_end) {
  ::signal(SIGCHLD, SIG_DFL);  // where it is ignored, children vanish and nobody can wait for them
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Supervisor::~Supervisor() { end(); }

void Supervisor::start(const std::vector<std::string>& command, std::function<void(const std::string&)> error_line,
                       const std::map<std::string, std::string>& variables, bool shielded) {
  Pipe report;
  Pipe output;
  Pipe errors;
  const pid_t child = ::fork();
  if (child < 0) throw LaunchError(with_errno("cannot start " + command[0]));
  if (child == 0) {
    become(command, *signals_, variables, shielded, output.writer.get(), errors.writer.get(), report.writer.get());
  }
  ::setpgid(child, child);  // also here: whichever of the two comes first
  report.writer = FileDescriptor();
  if (int error = 0; ::read(report.reader.get(), &error, sizeof error) == sizeof error) {
    ::waitpid(child, nullptr, 0);
    errno = error;
    throw LaunchError(with_errno("cannot start " + command[0]));
  }
  command_ = child;
  output_ = std::make_unique<PipeReader>(std::move(output.reader), [](std::string_view piece) {
    if (!piece.empty()) std::cout << piece << std::flush;
  });
  errors_ = std::make_unique<PipeReader>(std::move(errors.reader), by_line(std::move(error_line)));
}

std::vector<int> Supervisor::wait(std::span<const int> files, std::chrono::milliseconds limit) {
  std::vector<pollfd> entries;
  for (const int file : files) entries.push_back({.fd = file, .events = POLLIN, .revents = 0});
  entries.push_back({.fd = signals_->file(), .events = POLLIN, .revents = 0});
  for (const auto& pipe : {output_.get(), errors_.get()}) {
    if (pipe != nullptr) entries.push_back({.fd = pipe->file(), .events = POLLIN, .revents = 0});
  }
  for (const PatientOutput* output : outputs_) {
    entries.push_back({.fd = output->waiting_file(), .events = POLLOUT, .revents = 0});
  }
  ::poll(entries.data(), entries.size(), static_cast<int>(limit.count()));
  for (const auto& pipe : {output_.get(), errors_.get()}) {
    if (pipe != nullptr) pipe->read_available();
  }
  for (PatientOutput* output : outputs_) output->drain();
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
  const auto given_up = [this](pid_t child) { return std::ranges::count(given_up_, child) > 0; };
  for (const auto deadline = std::chrono::steady_clock::now() + to_end_;;) {
    reap();
    std::vector<pid_t> left = children();
    std::erase_if(left, given_up);
    if (std::chrono::steady_clock::now() >= deadline) std::ranges::copy(left, std::back_inserter(given_up_));
    if (std::ranges::all_of(left, given_up)) break;
    for (const pid_t child : left) ::kill(child, SIGKILL);
    ::usleep(10'000);
  }
  for (const auto& pipe : {output_.get(), errors_.get()}) {
    if (pipe != nullptr) pipe->finish();
  }
  output_.reset();
  errors_.reset();
}

void Supervisor::flush(std::chrono::milliseconds limit) {
  const auto waits = [](const PatientOutput* output) { return output->waiting_file() >= 0; };
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (std::ranges::any_of(outputs_, waits) && std::chrono::steady_clock::now() < deadline) {
    if (!wait({}, std::chrono::milliseconds(100)).empty()) return;
  }
}

namespace {

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(static_cast<long long>(seconds * 1000));
}

}  // namespace

Stopper::Stopper(const Supervisor& supervisor, Stopping stopping)
    : supervisor_(supervisor),
      stopping_(std::move(stopping)),
      to_listen_(Clock::now() + milliseconds_of(stopping_.seconds_to_listen)) {}

void Stopper::request(int signal) {
  if (requested_) return;
  requested_ = signal;
  requested_at_ = Clock::now();
  deadline_ = requested_at_ + milliseconds_of(stopping_.grace_seconds);
  to_listen_ = std::min(to_listen_, requested_at_ + milliseconds_of(stopping_.seconds_to_listen_yet));
  if (!stopping_.gentle_signal) supervisor_.signal_group(SIGTERM);
}

void Stopper::signalled(int signal) {
  // A scheduler and what it has started may both send one.
  constexpr std::chrono::milliseconds kOneRequest(500);
  if (requested_ && Clock::now() > requested_at_ + kOneRequest) supervisor_.signal_group(SIGKILL);
  request(signal);
}

void Stopper::drive() {
  const auto now = Clock::now();
  const bool listens = stopping_.gentle_signal && stopping_.listens();
  listened_ = listened_ || listens;
  if (stopping_.gentle_signal && !listened_ && now >= to_listen_) {
    never_listened_ = never_listened_ || !requested_;
    supervisor_.signal_group(SIGKILL);
  }
  if (!requested_) return;
  if (now >= deadline_) supervisor_.signal_group(SIGKILL);
  if (listens && !told_) {
    supervisor_.signal_command(*stopping_.gentle_signal);
    told_ = true;
  }
}

Ending supervise(Supervisor& supervisor, const Stopping& stopping, const std::function<void()>& turn) {
  Stopper stopper(supervisor, stopping);
  while (supervisor.running()) {
    for (const int signal : supervisor.wait({}, std::chrono::milliseconds(100))) stopper.signalled(signal);
    stopper.drive();
    if (supervisor.running()) turn();
  }
  supervisor.end();
  return {.exit_code = supervisor.exit_code(),
          .stopped_by = stopper.requested(),
          .never_listened = stopper.never_listened()};
}

}  // namespace lockstep

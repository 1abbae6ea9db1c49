#include "launch/EarlyStop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <future>
#include <string>
#include <system_error>

#include "common/Error.h"
#include "common/FailureFile.h"
#include "launch/Supervisor.h"

namespace lockstep {

EarlyStop::EarlyStop() {
  const sigset_t set = ending_signals();
  signals_ = FileDescriptor(::signalfd(-1, &set, SFD_CLOEXEC));
  over_ = FileDescriptor(::eventfd(0, EFD_CLOEXEC));
  if (!signals_ || !over_) throw LaunchError(with_errno("cannot wait for signals"));
  try {
    thread_ = std::thread([this] { wait(); });
  } catch (const std::system_error&) {  // then signals wait for the supervisor
  }
}

void EarlyStop::set_output_dir(const std::filesystem::path& output_dir, bool cleared) {
  const std::lock_guard lock(mutex_);
  output_dir_ = output_dir;
  cleared_ = cleared;
}

void EarlyStop::over() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(over_.get(), &one, sizeof one);
  thread_.join();
}

void EarlyStop::wait() {
  std::array<pollfd, 2> entries = {
      {{.fd = over_.get(), .events = POLLIN, .revents = 0}, {.fd = signals_.get(), .events = POLLIN, .revents = 0}}};
  while (::poll(entries.data(), entries.size(), -1) < 0 && errno == EINTR) {
  }
  if (entries[0].revents != 0) return;
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
  const StopError stopped(static_cast<int>(info.ssi_signo));
  const std::string text = std::string("lockstep: error: ") + stopped.what() + "\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
  // The directory may be what this process waits for.
  const auto leave = [&] {
    const std::lock_guard lock(mutex_);
    if (output_dir_.empty()) return;
    std::error_code ignored;
    if (!cleared_) std::filesystem::remove(output_dir_ / "failure", ignored);
    write_failure_file(output_dir_, stopped.what());
  };
  try {
    const auto left = std::async(std::launch::async, leave);
    left.wait_for(std::chrono::seconds(2));
    ::_exit(stopped.exit_code());
  } catch (const std::system_error&) {  // no thread is to be had
    leave();
  }
  ::_exit(stopped.exit_code());
}

}  // namespace lockstep

#include "engine/commands/StopSignal.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "common/Error.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

/// A signal, and the time that is left after it.
struct Request {
  int signal;
  std::chrono::seconds time;
  // When the first one came, in the clock's ticks; 0: none has. Lock-free, as a handler needs it.
  std::atomic<std::int64_t> came = 0;
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

// SageMaker kills 120 s after it has asked to stop, Slurm 30 s (KillWait).
std::array<Request, 2> requests = {{{SIGUSR1, std::chrono::seconds(90)}, {SIGTERM, std::chrono::seconds(25)}}};

std::int64_t now() { return Clock::now().time_since_epoch().count(); }

// Of a process that sends SIGTERM only to end this one; 0: of nobody.
std::atomic<pid_t> ends_with_sigterm = 0;

void on_signal(int number, siginfo_t* info, void*) {
  if (number == SIGTERM && info->si_pid == ends_with_sigterm && ends_with_sigterm != 0) {
    ::signal(SIGTERM, SIG_DFL);
    ::raise(SIGTERM);  // when this has returned
    return;
  }
  for (Request& request : requests) {
    std::int64_t none = 0;
    if (request.signal == number) request.came.compare_exchange_strong(none, now());
  }
}

}  // namespace

StopSignal::StopSignal(bool launched) {
  if (launched) ends_with_sigterm = ::getppid();
  struct sigaction action {};
  action.sa_sigaction = &on_signal;
  action.sa_flags = SA_RESTART | SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigset_t listened;
  sigemptyset(&listened);
  for (const Request& request : requests) {
    sigaddset(&listened, request.signal);
    if (::sigaction(request.signal, &action, nullptr) != 0) throw SystemError(with_errno("cannot listen for signals"));
  }
  pthread_sigmask(SIG_UNBLOCK, &listened, nullptr);
}

bool StopSignal::requested() const { return requests[0].came != 0 || requests[1].came != 0; }

bool StopSignal::half_over() const {
  for (const Request& request : requests) {
    if (request.came != 0 && Clock::duration(now() - request.came) > request.time / 2) return true;
  }
  return false;
}

}  // namespace lockstep

#include "engine/commands/StopSignal.h"

#include <unistd.h>

#include <array>

#include "common/Error.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

/// A signal, and the time that is left after it.
struct RequestKind {
  int signal;
  std::chrono::seconds time;
};

// SageMaker kills 120 s after it has asked to stop, Slurm 30 s (KillWait).
constexpr std::array<RequestKind, 2> kRequests = {
    {{SIGUSR1, std::chrono::seconds(90)}, {SIGTERM, std::chrono::seconds(25)}}};

sigset_t requests() {
  sigset_t set;
  sigemptyset(&set);
  for (const RequestKind& each : kRequests) sigaddset(&set, each.signal);
  return set;
}

// As one that nobody listens to does.
void end_by(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ::raise(signal);
}

}  // namespace

StopSignal::StopSignal(bool launched) : parent_(launched ? ::getppid() : 0) {
  const sigset_t set = requests();
  if (::pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) throw SystemError("cannot listen for signals");
  // One that is ignored would be lost.
  for (const RequestKind& each : kRequests) ::signal(each.signal, SIG_DFL);
  thread_ = std::thread(&StopSignal::listen, this);
}

StopSignal::~StopSignal() {
  over_ = true;
  ::pthread_kill(thread_.native_handle(), SIGUSR1);
  thread_.join();
}

void StopSignal::listen() {
  const sigset_t set = requests();
  for (;;) {
    siginfo_t info{};
    const int number = ::sigwaitinfo(&set, &info);
    if (over_) return;
    if (number == SIGTERM && parent_ != 0 && info.si_pid == parent_) end_by(number);
    for (const RequestKind& each : kRequests) {
      if (each.signal == number) request((Clock::now() + each.time / 2).time_since_epoch());
    }
  }
}

// Of two requests the one that leaves less time counts.
void StopSignal::request(Clock::duration half_over) {
  if (half_over < half_over_.load()) half_over_ = half_over;
}

bool StopSignal::requested() const { return half_over_.load() != kNever; }

bool StopSignal::half_over() const { return Clock::now().time_since_epoch() > half_over_.load(); }

}  // namespace lockstep

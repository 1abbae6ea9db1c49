#include "engine/train/StopSignal.h"

#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdint>

#include "common/Error.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

// When the first signal came, in the clock's ticks; 0: none has. Lock-free, as a handler needs it.
std::atomic<std::int64_t> requested_at = 0;
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

std::int64_t now() { return Clock::now().time_since_epoch().count(); }

void on_signal(int) {
  std::int64_t none = 0;
  requested_at.compare_exchange_strong(none, now());
}

}  // namespace

StopSignal::StopSignal() {
  struct sigaction action {};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  if (::sigaction(SIGUSR1, &action, nullptr) != 0) throw SystemError(with_errno("cannot listen for SIGUSR1"));
}

bool StopSignal::requested() const { return requested_at != 0; }

double StopSignal::seconds_since() const {
  return requested() ? std::chrono::duration<double>(Clock::duration(now() - requested_at)).count() : 0;
}

}  // namespace lockstep

#include "common/SpanLog.h"

#include <ctime>
#include <utility>

namespace lockstep {

double thread_cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::vector<Span> SpanLog::stop() {
  on_ = false;
  const std::lock_guard lock(mutex_);
  return std::exchange(spans_, {});
}

void SpanLog::add(Span span) {
  const std::lock_guard lock(mutex_);
  if (on() && spans_.size() < kMost) spans_.push_back(std::move(span));
}

}  // namespace lockstep

#include "common/SpanLog.h"

#include <ctime>
#include <utility>

namespace lockstep {

double thread_cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void SpanLog::start() {
  const std::lock_guard lock(mutex_);
  dropped_ = 0;
  on_ = true;
}

std::int64_t SpanLog::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

std::vector<Span> SpanLog::stop() {
  on_ = false;
  const std::lock_guard lock(mutex_);
  return std::exchange(spans_, {});
}

void SpanLog::add(Span span) {
  const std::lock_guard lock(mutex_);
  if (!on()) return;
  if (spans_.size() == kMost) {
    ++dropped_;
  } else {
    spans_.push_back(std::move(span));
  }
}

}  // namespace lockstep

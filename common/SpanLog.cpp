#include "common/SpanLog.h"

#include <utility>

namespace lockstep {

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

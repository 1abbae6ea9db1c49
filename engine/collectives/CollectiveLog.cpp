#include "engine/collectives/CollectiveLog.h"

#include <algorithm>

namespace lockstep {

using Clock = std::chrono::steady_clock;

std::uint64_t CollectiveLog::enter(Collective operation, std::size_t count, DataType type) {
  const std::lock_guard lock(mutex_);
  ++count_;
  at(count_) = {.sequence = count_, .operation = operation, .count = count, .type = type, .entered = Clock::now()};
  return count_;
}

void CollectiveLog::leave(std::uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  if (at(sequence).sequence == sequence) at(sequence).left = Clock::now();
}

std::uint64_t CollectiveLog::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

std::vector<CollectiveRecord> CollectiveLog::records() const {
  const std::lock_guard lock(mutex_);
  std::vector<CollectiveRecord> kept;
  for (std::uint64_t sequence = count_ - std::min<std::uint64_t>(count_, kKept) + 1; sequence <= count_; ++sequence) {
    kept.push_back(records_[sequence % kKept]);
  }
  return kept;
}

std::optional<CollectiveRecord> CollectiveLog::under_way() const {
  const std::vector<CollectiveRecord> kept = records();
  const auto found = std::ranges::find_if(kept, [](const CollectiveRecord& record) { return !record.left; });
  return found == kept.end() ? std::nullopt : std::optional(*found);
}

}  // namespace lockstep

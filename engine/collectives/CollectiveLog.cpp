#include "engine/collectives/CollectiveLog.h"

#include <algorithm>

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

Clock::time_point time_of(std::int64_t nanoseconds) { return Clock::time_point(std::chrono::nanoseconds(nanoseconds)); }

}  // namespace

CollectiveLog::CollectiveLog() : own_(std::make_unique<CollectiveTrack>()), track_(*own_) {}

std::uint64_t CollectiveLog::enter(Collective operation, std::size_t count, DataType type) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t sequence = track_.count + 1;
  CollectiveTrack::Place& place = at(sequence);
  place.left = 0;
  place.sequence = sequence;
  place.operation = static_cast<std::uint32_t>(operation);
  place.type = static_cast<std::uint32_t>(type);
  place.count = count;
  place.entered = monotonic_now();
  track_.count.store(sequence, std::memory_order_release);
  return sequence;
}

void CollectiveLog::leave(std::uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  if (at(sequence).sequence == sequence) at(sequence).left = monotonic_now();
}

void CollectiveLog::begin_waiting(std::uint64_t sequence) {
  track_.changed = monotonic_now();
  track_.waiting_for = sequence;
}

void CollectiveLog::end_waiting() {
  const std::int64_t now = monotonic_now();
  track_.waited += now - track_.changed;
  track_.changed = now;
  track_.waiting_for = 0;
}

std::uint64_t CollectiveLog::count() const { return track_.count; }

std::vector<CollectiveRecord> CollectiveLog::records() const {
  const std::lock_guard lock(mutex_);
  const std::uint64_t count = track_.count;
  std::vector<CollectiveRecord> kept;
  for (std::uint64_t sequence = count - std::min<std::uint64_t>(count, kKept) + 1; sequence <= count; ++sequence) {
    const CollectiveTrack::Place& place = track_.places[sequence % kKept];
    CollectiveRecord record{.sequence = sequence,
                            .operation = static_cast<Collective>(place.operation.load()),
                            .count = place.count,
                            .type = static_cast<DataType>(place.type.load()),
                            .entered = time_of(place.entered)};
    if (const std::int64_t left = place.left; left != 0) record.left = time_of(left);
    kept.push_back(record);
  }
  return kept;
}

std::optional<CollectiveRecord> CollectiveLog::under_way() const {
  const std::vector<CollectiveRecord> kept = records();
  const auto found = std::ranges::find_if(kept, [](const CollectiveRecord& record) { return !record.left; });
  return found == kept.end() ? std::nullopt : std::optional(*found);
}

}  // namespace lockstep

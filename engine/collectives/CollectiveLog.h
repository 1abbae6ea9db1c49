// The last collectives of a communicator, for whoever watches the rank.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/collectives/CollectiveTypes.h"

namespace lockstep {

/// One collective of this rank.
struct CollectiveRecord {
  std::uint64_t sequence = 0;  ///< 1 for a communicator's first collective: the same number on all ranks
  Collective operation = Collective::kBarrier;
  std::size_t count = 0;  ///< elements, as the call has it
  DataType type = DataType::kByte;
  std::chrono::steady_clock::time_point entered{};
  /// When the caller no longer waited for it: on a GPU, when it was enqueued. Nothing while it is under way.
  std::optional<std::chrono::steady_clock::time_point> left = std::nullopt;
};

/// Counts collectives and keeps the last of them. Ranks make the same collectives in the same order, so the rank whose
/// count is lowest is the one that the others wait for. Any thread may read while another one makes collectives.
class CollectiveLog {
 public:
  static constexpr std::size_t kKept = 64;

  /// A collective begins. Returns its sequence number.
  std::uint64_t enter(Collective operation, std::size_t count, DataType type);
  /// It ends. Of a number that is kept no longer, nothing is noted.
  void leave(std::uint64_t sequence);

  /// How many collectives have begun.
  std::uint64_t count() const;
  /// Those that are kept, the oldest first.
  std::vector<CollectiveRecord> records() const;
  /// The oldest record of a collective under way, or nothing when there is none.
  std::optional<CollectiveRecord> under_way() const;

 private:
  CollectiveRecord& at(std::uint64_t sequence) { return records_[sequence % kKept]; }

  mutable std::mutex mutex_;
  std::uint64_t count_ = 0;
  std::array<CollectiveRecord, kKept> records_;
};

}  // namespace lockstep

// The last collectives of a communicator, for whoever watches the rank.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "watch/CollectiveTypes.h"
#include "watch/RankPage.h"

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
  static constexpr std::size_t kKept = CollectiveTrack::kKept;

  CollectiveLog();
  /// Keeps them in `track`, which is empty and must outlive this, for other processes to read.
  explicit CollectiveLog(CollectiveTrack& track) : track_(track) {}

  /// A collective begins. Returns its sequence number.
  std::uint64_t enter(Collective operation, std::size_t count, DataType type);
  /// It ends. Of a number that is kept no longer, nothing is noted.
  void leave(std::uint64_t sequence);
  /// From here to there the caller does nothing but wait in it.
  void begin_waiting(std::uint64_t sequence);
  void end_waiting();
  /// It has waited for the device.
  void add_waited(std::chrono::nanoseconds time) { track_.waited += time.count(); }

  /// How many collectives have begun.
  std::uint64_t count() const;
  /// Those that are kept, the oldest first.
  std::vector<CollectiveRecord> records() const;
  /// The oldest record of a collective under way, or nothing when there is none.
  std::optional<CollectiveRecord> under_way() const;

 private:
  CollectiveTrack::Place& at(std::uint64_t sequence) { return track_.places[sequence % kKept]; }

  mutable std::mutex mutex_;
  std::unique_ptr<CollectiveTrack> own_{};  ///< none where another's is given
  CollectiveTrack& track_;
};

}  // namespace lockstep

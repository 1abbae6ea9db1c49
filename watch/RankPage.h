// Where a rank writes what it is doing, in memory that whoever watches it can read at any time: also when the rank is
// stopped, hangs in MPI or NCCL, or has ended.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "common/File.h"
#include "watch/Phase.h"

namespace lockstep {

/// The last collectives of one communicator. All zero is an empty one.
struct CollectiveTrack {
  static constexpr std::size_t kKept = 64;

  /// Times are of the monotonic clock, in nanoseconds.
  struct Place {
    std::atomic<std::uint64_t> sequence;
    std::atomic<std::uint32_t> operation;  ///< a Collective
    std::atomic<std::uint32_t> type;       ///< a DataType
    std::atomic<std::uint64_t> count;
    std::atomic<std::int64_t> entered;
    std::atomic<std::int64_t> left;  ///< 0 while it is under way
  };

  std::atomic<std::uint64_t> count;        ///< that have begun
  std::atomic<std::uint64_t> waiting_for;  ///< the one in which the rank waits and does nothing else; 0: it does not
  std::atomic<std::int64_t> changed;       ///< when this began or ended
  std::atomic<std::int64_t> waited;        ///< nanoseconds, in all
  std::array<Place, kKept> places;         ///< by sequence number modulo kKept
};

/// Where a thread of a rank is. The rank's own signal handler writes it.
struct ThreadStack {
  static constexpr std::size_t kFrames = 40;

  std::atomic<std::int32_t> thread;  ///< its id; 0: nothing is here
  std::atomic<std::uint32_t> frames;
  std::array<void*, kFrames> addresses;  ///< innermost first
};

/// One rank's. Only atomics, so that reader and writer need nothing of each other, and what an atomic says is there.
/// All zero is a rank that has not come.
struct RankPage {
  static constexpr std::size_t kThreads = 48;

  std::atomic<std::int32_t> pid;
  std::atomic<std::int32_t> rank;
  std::atomic<std::uint32_t> phase;
  std::atomic<std::int64_t> phase_since;                 ///< of the monotonic clock, nanoseconds
  std::array<std::atomic<std::int64_t>, kPhases> usual;  ///< nanoseconds that phases have lately taken at most
  std::atomic<std::uint64_t> step;                       ///< the step that it is in, counted from 1
  std::atomic<std::uint64_t> steps;                      ///< that this process has made
  std::atomic<std::int64_t> busy;                        ///< nanoseconds of all of them, without waits for others
  std::atomic<std::int64_t> last_step;                   ///< nanoseconds
  std::array<char, 256> failure;                         ///< of a collective, as MPI or NCCL has put it
  std::atomic<bool> collective_failed;                   ///< it is there
  CollectiveTrack host;                                  ///< collectives of the host's memory
  CollectiveTrack device;                                ///< of a GPU's

  // What the watcher asks for.
  std::atomic<std::uint32_t> stacks_wanted;  ///< threads that get the signal write where they are
  std::atomic<bool> threads_stay;            ///< and stay there
  std::atomic<std::uint32_t> stacks;         ///< how many have begun to
  std::array<ThreadStack, kThreads> threads;
  // What the watcher tells rank 0.
  std::atomic<std::uint32_t> stragglers;  ///< how many it has named
  std::atomic<std::int32_t> straggler;
  std::atomic<double> straggler_factor;
  std::array<char, 64> straggler_host;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<double>::is_always_lock_free);

/// Pages in a file of memory, which is gone with its last user.
class RankPages {
 public:
  /// Makes so many. Throws SystemError.
  explicit RankPages(std::size_t count);
  /// Those that another process of this machine and user has made; nothing when they cannot be reached.
  static std::optional<RankPages> open(const std::filesystem::path& path);
  RankPages(RankPages&& other) noexcept;
  RankPages& operator=(RankPages&&) = delete;
  ~RankPages();

  /// For other processes of this machine.
  std::string path() const;
  std::size_t size() const { return count_; }
  /// For ranks that are started anew: nobody has come. The processes before must have ended.
  void clear() const;
  RankPage& operator[](std::size_t index) const { return pages_[index]; }

 private:
  RankPages(FileDescriptor memory, std::size_t count);

  FileDescriptor memory_;
  std::size_t count_;
  RankPage* pages_;
};

/// Texts in arrays, cut where they are too long.
template <std::size_t kSize>
void set_text(std::array<char, kSize>& place, std::string_view text) {
  place.fill(0);
  text.copy(place.data(), kSize - 1);
}
template <std::size_t kSize>
std::string text_in(const std::array<char, kSize>& place) {
  return {place.begin(), std::find(place.begin(), place.end() - 1, 0)};
}

/// Nanoseconds of the monotonic clock, which is one for all processes of a machine.
std::int64_t monotonic_now();

}  // namespace lockstep

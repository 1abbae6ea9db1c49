// Where the time of a process goes, written down by all of its threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace lockstep {

/// What kind of work a span is.
enum class SpanKind : std::uint8_t { kStep, kCompute, kCommunication, kData, kOperator };

/// Something that took from one moment to another, by this host's monotonic clock.
struct Span {
  std::string name{};
  SpanKind kind = SpanKind::kCompute;
  std::chrono::steady_clock::time_point begin{};
  std::chrono::steady_clock::time_point end{};
  std::int64_t bytes = 0;     ///< that were moved; 0: it moves none
  double thread_seconds = 0;  ///< that its thread was on a core meanwhile; 0: nobody has measured it
};

/// Seconds that this thread has been on a core since it began.
double thread_cpu_seconds();

/// Keeps spans between `start` and `stop`, and forgets them otherwise. Any thread may add. Whoever measures asks `on`
/// first, which costs next to nothing.
class SpanLog {
 public:
  using Clock = std::chrono::steady_clock;
  /// More are not kept, but counted.
  static constexpr std::size_t kMost = 50'000;

  void start();
  /// Ends it, and returns what was added, in the order of their ends.
  std::vector<Span> stop();
  /// How many were added since the last start and not kept.
  std::int64_t dropped() const;
  bool on() const { return on_.load(std::memory_order_relaxed); }
  /// Does nothing when it is not on.
  void add(Span span);

 private:
  std::atomic<bool> on_ = false;
  mutable std::mutex mutex_;
  std::vector<Span> spans_;
  std::int64_t dropped_ = 0;
};

}  // namespace lockstep

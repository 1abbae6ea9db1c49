// A rank's own side of its page.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "watch/RankPage.h"

namespace lockstep {

/// A rank that is slower than the others.
struct SlowRank {
  int rank = 0;
  std::string host{};
  double factor = 0;  ///< its own work for a step, in that of the median rank
};

/// Says where this rank is. A handle: copies say it in the same page, which must outlive them. One that is made without
/// a page says it to nobody. The thread that trains calls.
class RankPosition {
 public:
  RankPosition() = default;
  explicit RankPosition(RankPage* page) : page_(page) {}

  /// A phase begins; the one before has ended, and how long it took is remembered. To enter the phase that it is in
  /// says that there is progress in it.
  void enter(Phase phase) const;
  Phase phase() const;
  /// Step `number` of the job begins, counted from 1.
  void begin_step(std::uint64_t number) const;
  /// And ends: `seconds` of it the rank did not wait for others, of `all`.
  void end_step(double seconds, double all) const;
  /// So far, in collectives.
  double seconds_waited() const;
  /// MPI or NCCL has failed in a collective of this rank, and says why.
  void collective_failed(const std::string& why) const;
  /// A slow rank that the watcher has named since the last call.
  std::optional<SlowRank> slow_rank();

 private:
  RankPage* page_ = nullptr;
  std::uint32_t told_ = 0;
};

/// A phase for as long as this lives; then the one before goes on.
class PhaseScope {
 public:
  PhaseScope(const RankPosition& position, Phase phase) : position_(position), before_(position.phase()) {
    position_.enter(phase);
  }
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;
  ~PhaseScope() { position_.enter(before_); }

 private:
  RankPosition position_;
  Phase before_;
};

}  // namespace lockstep

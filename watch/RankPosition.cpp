#include "watch/RankPosition.h"

#include <algorithm>

namespace lockstep {

namespace {

constexpr double kNanoseconds = 1e9;

std::int64_t nanoseconds(double seconds) { return static_cast<std::int64_t>(seconds * kNanoseconds); }

}  // namespace

void RankPosition::enter(Phase phase) const {
  if (page_ == nullptr) return;
  const std::int64_t now = monotonic_now();
  auto& usual = page_->usual[page_->phase.load(std::memory_order_relaxed) % kPhases];
  const std::int64_t before = usual.load(std::memory_order_relaxed);
  // What was long once is forgotten in some dozens of times.
  usual.store(std::max(now - page_->phase_since.load(std::memory_order_relaxed), before - before / 32),
              std::memory_order_relaxed);
  page_->phase.store(static_cast<std::uint32_t>(phase), std::memory_order_relaxed);
  page_->phase_since.store(now, std::memory_order_release);
}

Phase RankPosition::phase() const {
  return page_ == nullptr ? Phase::kStart : static_cast<Phase>(page_->phase.load(std::memory_order_relaxed));
}

void RankPosition::begin_step(std::uint64_t number) const {
  if (page_ != nullptr) page_->step.store(number, std::memory_order_relaxed);
}

void RankPosition::end_step(double seconds, double all) const {
  if (page_ == nullptr) return;
  page_->busy.fetch_add(nanoseconds(seconds), std::memory_order_relaxed);
  page_->last_step.store(nanoseconds(all), std::memory_order_relaxed);
  page_->steps.fetch_add(1, std::memory_order_release);
}

double RankPosition::seconds_waited() const {
  if (page_ == nullptr) return 0;
  return static_cast<double>(page_->host.waited.load() + page_->device.waited.load()) / kNanoseconds;
}

void RankPosition::collective_failed(const std::string& why) const {
  if (page_ == nullptr) return;
  set_text(page_->failure, why);
  page_->collective_failed = true;
}

std::optional<SlowRank> RankPosition::slow_rank() {
  if (page_ == nullptr || page_->stragglers.load(std::memory_order_acquire) == told_) return std::nullopt;
  told_ = page_->stragglers;
  return SlowRank{.rank = page_->straggler, .host = text_in(page_->straggler_host), .factor = page_->straggler_factor};
}

}  // namespace lockstep

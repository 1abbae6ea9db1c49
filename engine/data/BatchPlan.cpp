#include "engine/data/BatchPlan.h"

#include <algorithm>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

BatchPlan::BatchPlan(std::int64_t samples, std::int64_t batch_size, std::int64_t micro_batch_size, int ranks)
    : samples_(samples), batch_size_(batch_size), micro_batch_size_(micro_batch_size), ranks_(ranks) {
  if (samples < 0 || batch_size < 1 || micro_batch_size < 0 || ranks < 1) {
    throw InternalError(
        "a batch plan needs samples ≥ 0, batch_size ≥ 1, micro_batch_size ≥ 0 and ranks ≥ 1; it was given " +
        format("%lld, %lld, %lld and %d", static_cast<long long>(samples), static_cast<long long>(batch_size),
               static_cast<long long>(micro_batch_size), ranks));
  }
}

std::int64_t BatchPlan::steps() const { return samples_ / batch_size_ + (samples_ % batch_size_ != 0 ? 1 : 0); }

Slice BatchPlan::batch(std::int64_t step) const {
  const std::int64_t begin = step * batch_size_;
  return {begin, begin + std::min(batch_size_, samples_ - begin)};
}

Slice BatchPlan::slice(std::int64_t step, int rank) const {
  const Slice whole = batch(step);
  return {whole.begin + whole.size() * rank / ranks_, whole.begin + whole.size() * (rank + 1) / ranks_};
}

std::vector<Slice> BatchPlan::micro_batches(std::int64_t step, int rank) const {
  const Slice whole = slice(step, rank);
  const std::int64_t most = micro_batch_size_ == 0 ? whole.size() : micro_batch_size_;
  std::vector<Slice> parts;
  for (std::int64_t begin = whole.begin; begin < whole.end; begin += most) {
    parts.push_back({begin, std::min(whole.end, begin + most)});
  }
  return parts;
}

Share BatchPlan::smallest_share(std::int64_t steps) const {
  Share smallest{.samples = samples_ + 1};
  // Only the last step of an epoch has a batch of another size.
  for (const std::int64_t step : {std::int64_t{0}, std::min(steps, this->steps()) - 1}) {
    for (int rank = 0; rank < ranks_; ++rank) {
      for (const Slice& part : micro_batches(step, rank)) {
        if (part.size() < smallest.samples) smallest = {.samples = part.size(), .step = step, .rank = rank};
      }
    }
  }
  return smallest;
}

}  // namespace lockstep

#include "engine/data/BatchPlan.h"

#include <algorithm>

#include "common/Error.h"

namespace lockstep {

BatchPlan::BatchPlan(std::int64_t samples, std::int64_t batch_size, std::int64_t micro_batch_size, int ranks)
    : samples_(samples), batch_size_(batch_size), micro_batch_size_(micro_batch_size), ranks_(ranks) {
  if (samples < 0 || batch_size < 1 || micro_batch_size < 0 || ranks < 1) {
    throw InternalError("a batch plan needs samples ≥ 0, a batch size and ranks ≥ 1, and a micro-batch size ≥ 0");
  }
}

std::int64_t BatchPlan::steps() const { return (samples_ + batch_size_ - 1) / batch_size_; }

Slice BatchPlan::batch(std::int64_t step) const {
  return {step * batch_size_, std::min(samples_, (step + 1) * batch_size_)};
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

}  // namespace lockstep

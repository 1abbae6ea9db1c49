#include "engine/data/BatchPlan.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

BatchPlan::BatchPlan(Shards shards, std::int64_t batch_size, std::int64_t micro_batch_size)
    : shards_(std::move(shards)), batch_size_(batch_size), micro_batch_size_(micro_batch_size) {
  const std::int64_t samples = shards_.samples();
  if (samples < 0 || batch_size < 1 || micro_batch_size < 0 || shards_.ranks() < 1) {
    throw InternalError(
        "a batch plan needs samples ≥ 0, batch_size ≥ 1, micro_batch_size ≥ 0 and ranks ≥ 1; it was given " +
        format("%lld, %lld, %lld and %d", static_cast<long long>(samples), static_cast<long long>(batch_size),
               static_cast<long long>(micro_batch_size), shards_.ranks()));
  }
}

std::int64_t BatchPlan::steps() const {
  return shards_.samples() / batch_size_ + (shards_.samples() % batch_size_ != 0 ? 1 : 0);
}

Slice BatchPlan::batch(std::int64_t step) const {
  const std::int64_t begin = step * batch_size_;
  return {begin, begin + std::min(batch_size_, shards_.samples() - begin)};
}

bool BatchPlan::even(std::int64_t step) const {
  const Slice whole = batch(step);
  if (whole.size() % shards_.ranks() != 0) return false;
  const std::int64_t each = whole.size() / shards_.ranks();
  for (std::size_t shard = 0; shard < shards_.count(); ++shard) {
    if (shards_.part(shard, whole).size() != each * shards_.ranks_of(shard)) return false;
  }
  return true;
}

Slice BatchPlan::slice(std::int64_t step, int rank) const { return shards_.share(rank, batch(step)); }

std::vector<Slice> BatchPlan::micro_batches(std::int64_t step, int rank) const {
  const Slice whole = slice(step, rank);
  const std::int64_t most = micro_batch_size_ == 0 ? whole.size() : micro_batch_size_;
  std::vector<Slice> parts;
  for (std::int64_t begin = whole.begin; begin < whole.end; begin += most) {
    parts.push_back({begin, std::min(whole.end, begin + most)});
  }
  return parts;
}

// Calls `look` with those of the first `steps` steps that all differ.
template <typename Look>
void BatchPlan::for_each_size(std::int64_t steps, const Look& look) const {
  const std::int64_t last = std::min(steps, this->steps()) - 1;
  // With one shard, only the last step of an epoch has a batch of another size.
  const std::int64_t stride = shards_.count() == 1 ? std::max<std::int64_t>(last, 1) : 1;
  for (std::int64_t step = 0; step <= last; step += stride) look(step);
}

std::int64_t BatchPlan::most_micro_batches(std::int64_t step) const {
  std::int64_t most = 0;
  for (int rank = 0; rank < shards_.ranks(); ++rank) {
    const std::int64_t size = slice(step, rank).size();
    const std::int64_t each = micro_batch_size_ == 0 ? std::max<std::int64_t>(size, 1) : micro_batch_size_;
    most = std::max(most, (size + each - 1) / each);
  }
  return most;
}

Share BatchPlan::smallest_together(std::int64_t steps) const {
  Share smallest{.samples = shards_.samples() + 1};
  for_each_size(steps, [&](std::int64_t step) {
    std::vector<std::int64_t> together(static_cast<std::size_t>(most_micro_batches(step)), 0);
    for (int rank = 0; rank < shards_.ranks(); ++rank) {
      const std::vector<Slice> own = micro_batches(step, rank);
      for (std::size_t i = 0; i < own.size(); ++i) together[i] += own[i].size();
    }
    for (const std::int64_t samples : together) {
      if (samples < smallest.samples) smallest = {.samples = samples, .step = step, .rank = -1};
    }
  });
  return smallest;
}

Share BatchPlan::smallest_share(std::int64_t steps) const {
  Share smallest{.samples = shards_.samples() + 1};
  for_each_size(steps, [&](std::int64_t step) {
    for (int rank = 0; rank < shards_.ranks(); ++rank) {
      const std::int64_t size = slice(step, rank).size();
      const std::int64_t rest = micro_batch_size_ == 0 ? 0 : size % micro_batch_size_;
      const std::int64_t least = rest > 0 ? rest : std::min(size, micro_batch_size_ == 0 ? size : micro_batch_size_);
      if (least > 0 && least < smallest.samples) smallest = {.samples = least, .step = step, .rank = rank};
    }
  });
  return smallest;
}

}  // namespace lockstep

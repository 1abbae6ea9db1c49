#include "engine/data/Shards.h"

#include <algorithm>

#include "common/Error.h"

namespace lockstep {

Shards::Shards(std::int64_t samples, int ranks) : before_{0, samples} {
  for (int rank = 0; rank < ranks; ++rank) places_.push_back({.shard = 0, .number = rank});
  ranks_of_ = {ranks};
}

Shards::Shards(std::span<const Holding> by_rank) {
  std::vector<int> hosts;  // by shard
  for (const Holding& holding : by_rank) {
    const auto found = std::ranges::find(hosts, holding.host);
    const auto shard = static_cast<std::size_t>(found - hosts.begin());
    if (found == hosts.end()) {
      hosts.push_back(holding.host);
      ranks_of_.push_back(0);
      before_.push_back(before_.back() + holding.samples);
    }
    if (samples_of(shard) != holding.samples) throw InternalError("ranks of one host do not have the same samples");
    places_.push_back({.shard = shard, .number = ranks_of_[shard]++});
  }
}

// Of the first `position` positions. In each half of the shards, and again within it, the samples are in proportion:
// what one half does not get, the other does, and neither gets less as the position grows.
std::int64_t Shards::taken(std::size_t shard, std::int64_t position) const {
  for (std::size_t first = 0, last = count(); last - first > 1;) {
    const std::size_t middle = first + (last - first) / 2;
    const __int128 left = before_[middle] - before_[first];
    const std::int64_t all = before_[last] - before_[first];
    const auto of_left = all == 0 ? 0 : static_cast<std::int64_t>(left * position / all);
    if (shard < middle) {
      last = middle;
      position = of_left;
    } else {
      first = middle;
      position -= of_left;
    }
  }
  return position;
}

Slice Shards::part(std::size_t shard, const Slice& positions) const {
  return {taken(shard, positions.begin), taken(shard, positions.end)};
}

Slice Shards::share(int rank, const Slice& positions) const {
  const auto [shard, number] = places_.at(static_cast<std::size_t>(rank));
  const Slice whole = part(shard, positions);
  return {whole.begin + whole.size() * number / ranks_of_[shard],
          whole.begin + whole.size() * (number + 1) / ranks_of_[shard]};
}

}  // namespace lockstep

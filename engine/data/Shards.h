// Who has which samples of a data set: pure arithmetic, the same on every rank.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lockstep {

/// A half-open range of positions in the order of an epoch, or of a shard's part of it.
struct Slice {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end - begin; }
};

/// A data set is one shard when every rank has all samples; else each host's samples are a shard, which only the ranks
/// of that host take. Shards are in the order of their first ranks.
///
/// The positions of an epoch are dealt to the shards in proportion to their samples: all shards end together, and each
/// has got as many positions as it has samples. Before that, a shard is less than log2(count()), rounded up, from its
/// exact share.
class Shards {
 public:
  /// What one rank has.
  struct Holding {
    int host = 0;  ///< the same number for the ranks of a host, and only for these
    std::int64_t samples = 0;
  };

  /// One shard.
  Shards(std::int64_t samples, int ranks);
  /// A shard for each host, from what each rank has. InternalError when ranks of a host differ.
  explicit Shards(std::span<const Holding> by_rank);

  std::int64_t samples() const { return before_.back(); }  ///< of all shards
  int ranks() const { return static_cast<int>(places_.size()); }
  std::size_t count() const { return ranks_of_.size(); }
  std::size_t of(int rank) const { return places_.at(static_cast<std::size_t>(rank)).shard; }
  std::int64_t samples_of(std::size_t shard) const { return before_.at(shard + 1) - before_[shard]; }
  std::int64_t ranks_of(std::size_t shard) const { return ranks_of_.at(shard); }

  /// The shard's own positions, 0 … samples_of(shard), that it gets of an epoch's positions.
  Slice part(std::size_t shard, const Slice& positions) const;
  /// The rank's share of its shard's part. The shares of a shard's ranks differ by at most one.
  Slice share(int rank, const Slice& positions) const;

 private:
  struct Place {
    std::size_t shard = 0;
    std::int64_t number = 0;  ///< among the ranks of the shard
  };
  std::int64_t taken(std::size_t shard, std::int64_t position) const;

  std::vector<Place> places_;               ///< by rank
  std::vector<std::int64_t> ranks_of_;      ///< by shard
  std::vector<std::int64_t> before_ = {0};  ///< samples of the shards before; at last of all
};

}  // namespace lockstep

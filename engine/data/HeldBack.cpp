#include "engine/data/HeldBack.h"

#include <algorithm>
#include <utility>

#include "common/SplitMix.h"
#include "common/Text.h"

namespace lockstep {

bool is_held_back(std::uint64_t seed, double share, std::int64_t sample) {
  constexpr std::uint64_t kUse = 0x76616c6964617465;  // "validate", apart from other uses of the seed
  const std::uint64_t hash = splitmix(splitmix(splitmix(seed) ^ kUse) ^ static_cast<std::uint64_t>(sample));
  return static_cast<double>(hash >> 11U) * 0x1p-53 < share;
}

HeldBackDataset::HeldBackDataset(std::shared_ptr<const Dataset> all, std::uint64_t seed, double share, Part part)
    : SelectedSamples(std::move(all)), seed_(seed), share_(share), part_(part) {
  for (std::int64_t first = 0; first < this->all().size(); first += kBlock) {
    before_.push_back(before_.back() + count(first, std::min(first + kBlock, this->all().size())));
  }
  const Shards* shards = this->all().shards();
  if (shards == nullptr) return;
  std::vector<std::int64_t> counts;  // by shard
  for (std::size_t shard = 0; shard < shards->count(); ++shard) counts.push_back(count(0, shards->samples_of(shard)));
  std::vector<Shards::Holding> holdings;
  for (int rank = 0; rank < shards->ranks(); ++rank) {
    const std::size_t shard = shards->of(rank);
    holdings.push_back({.host = static_cast<int>(shard), .samples = counts[shard]});
  }
  shards_.emplace(holdings);
}

std::int64_t HeldBackDataset::count(std::int64_t begin, std::int64_t end) const {
  std::int64_t found = 0;
  for (std::int64_t place = begin; place < end; ++place) found += has(place) ? 1 : 0;
  return found;
}

// Seed and share are compared as hyperparameters.
std::string HeldBackDataset::digest() const {
  return all().digest() + (part_ == Part::kHeldBack ? ", held back" : ", the rest");
}

std::string HeldBackDataset::note() const {
  const std::string note = all().note();
  if (part_ == Part::kHeldBack) return note;
  return note + (note.empty() ? "" : "; ") + format("a share of %g is held back to validate on", share_);
}

std::int64_t HeldBackDataset::number(std::int64_t sample) const {
  if (size() == 0) return sample;
  const auto block = std::ranges::upper_bound(before_, sample) - before_.begin() - 1;
  std::int64_t left = sample - before_[static_cast<std::size_t>(block)];
  for (std::int64_t place = block * kBlock;; ++place) {
    if (has(place) && left-- == 0) return place;
  }
}

}  // namespace lockstep

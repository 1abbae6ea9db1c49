// A share of a data set that is not trained on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/SelectedSamples.h"

namespace lockstep {

/// Whether a sample is held back: a hash of the seed and of its place in the data set, SplitMix64's
/// (common/SplitMix.h), is below the share. Of a sharded data set the place is that on its host. Checkpoints rely on
/// it.
bool is_held_back(std::uint64_t seed, double share, std::int64_t sample);

/// The samples of a data set that are held back, or the others. Each rank can say of all hosts how many they have, for
/// it follows from how many they had.
class HeldBackDataset : public SelectedSamples {
 public:
  enum class Part { kHeldBack, kRest };

  HeldBackDataset(std::shared_ptr<const Dataset> all, std::uint64_t seed, double share, Part part);

  std::int64_t size() const override { return before_.back(); }
  std::int64_t readable() const override { return size() > 0 ? size() : all().readable(); }
  const Shards* shards() const override { return shards_ ? &*shards_ : nullptr; }
  std::string digest() const override;
  std::string note() const override;

 private:
  static constexpr std::int64_t kBlock = 64;

  bool has(std::int64_t place) const { return is_held_back(seed_, share_, place) == (part_ == Part::kHeldBack); }
  std::int64_t count(std::int64_t begin, std::int64_t end) const;
  /// Where this rank has none at all: of one to try a program on.
  std::int64_t number(std::int64_t sample) const override;

  std::uint64_t seed_;
  double share_;
  Part part_;
  std::vector<std::int64_t> before_ = {0};  ///< of this part before each block of places, and at last in all
  std::optional<Shards> shards_{};
};

}  // namespace lockstep

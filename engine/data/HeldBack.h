// A share of a data set that is not trained on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/data/Dataset.h"

namespace lockstep {

/// Whether a sample is held back: a hash of the seed and of its place in the data set, SplitMix64's
/// (common/SplitMix.h), is below the share. Of a sharded data set the place is that on its host. Checkpoints rely on
/// it.
bool is_held_back(std::uint64_t seed, double share, std::int64_t sample);

/// The samples of a data set that are held back, or the others, in their order. Each rank can say of all hosts how many
/// they have, for it follows from how many they had.
class HeldBackDataset : public Dataset {
 public:
  enum class Part { kHeldBack, kRest };

  HeldBackDataset(std::shared_ptr<const Dataset> all, std::uint64_t seed, double share, Part part);

  std::int64_t size() const override { return before_.back(); }
  std::int64_t readable() const override { return size() > 0 ? size() : all_->readable(); }
  const Shards* shards() const override { return shards_ ? &*shards_ : nullptr; }
  const SampleSpec& spec() const override { return all_->spec(); }
  std::string digest() const override;
  std::string place(std::size_t field, std::int64_t sample) const override { return all_->place(field, find(sample)); }
  std::string note() const override;
  bool crops() const override { return all_->crops(); }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override;
  void read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                   const Draw& draw) const override;

 private:
  static constexpr std::int64_t kBlock = 64;

  bool has(std::int64_t place) const { return is_held_back(seed_, share_, place) == (part_ == Part::kHeldBack); }
  std::int64_t count(std::int64_t begin, std::int64_t end) const;
  /// The place of a sample in the whole data set. Where this rank has none at all: of one to try a program on.
  std::int64_t find(std::int64_t sample) const;
  std::vector<std::int64_t> find_all(std::span<const std::int64_t> samples) const;

  std::shared_ptr<const Dataset> all_;
  std::uint64_t seed_;
  double share_;
  Part part_;
  std::vector<std::int64_t> before_ = {0};  ///< of this part before each block of places, and at last in all
  std::optional<Shards> shards_{};
};

}  // namespace lockstep

// Samples of several data sets in given proportions.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/data/Dataset.h"

namespace lockstep {

/// One data set of a mixture.
struct MixturePart {
  std::string channel;  ///< for messages
  double share = 0;     ///< > 0; in proportion to the others'
  std::shared_ptr<const Dataset> dataset;
};

/// As many samples as it takes for each of the parts' to come at least once: one part's come once, the others' again
/// and again, in turn. Which part's a sample is, and which of them, follows from its number alone; neighbours are dealt
/// to the parts in proportion. Each time that a sample comes in an epoch it is varied anew.
class MixedDataset : public Dataset {
 public:
  static constexpr std::int64_t kMostSamples = std::int64_t{1} << 40;

  /// At least one part. Throws InputError when the parts do not have the same fields, when hosts have samples of their
  /// own of one, and for more than kMostSamples.
  explicit MixedDataset(std::vector<MixturePart> parts);

  std::int64_t size() const override { return shares_.samples(); }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return digest_; }
  std::string place(std::size_t field, std::int64_t sample) const override;
  /// How often each part's samples come.
  std::string note() const override;
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override;
  void read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                   const Draw& draw) const override;
  bool crops() const override;

 private:
  struct Found {
    const Dataset* dataset = nullptr;
    std::int64_t sample = 0;  ///< its number there
    std::int64_t time = 0;    ///< how often it has come before
  };
  Found find(std::int64_t sample) const;
  /// Calls `read(found, places)` with each sample.
  template <typename Read>
  void read_each(std::span<const std::int64_t> samples, std::span<std::byte* const> fields, const Read& read) const;

  std::vector<MixturePart> parts_;
  Shards shares_;  ///< a shard is a part
  SampleSpec spec_;
  std::string digest_;
};

}  // namespace lockstep

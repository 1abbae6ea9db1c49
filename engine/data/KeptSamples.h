// A data set without some of its samples.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/data/Dataset.h"

namespace lockstep {

/// The samples of another data set but for those that are left out; the others are counted anew from 0, in the same
/// order. What a sample is varied by stays that of the other data set.
class KeptSamples : public Dataset {
 public:
  /// `left_out`: numbers of samples of `all`, in ascending order, each once; not all that there are. `note`: why.
  KeptSamples(std::shared_ptr<const Dataset> all, const std::vector<std::int64_t>& left_out, const std::string& note);

  std::int64_t size() const override { return all_->size() - static_cast<std::int64_t>(kept_before_.size()); }
  const SampleSpec& spec() const override { return all_->spec(); }
  std::string digest() const override { return digest_; }
  std::string place(std::size_t field, std::int64_t sample) const override {
    return all_->place(field, number(sample));
  }
  std::string note() const override { return note_; }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override;
  void read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                   const Draw& draw) const override;
  bool crops() const override { return all_->crops(); }

 private:
  /// In the other data set.
  std::int64_t number(std::int64_t sample) const;
  std::vector<std::int64_t> numbers(std::span<const std::int64_t> samples) const;

  std::shared_ptr<const Dataset> all_;
  std::vector<std::int64_t> kept_before_;  ///< by sample that is left out: kept ones before it
  std::string digest_;
  std::string note_;
};

}  // namespace lockstep

// Samples without targets, where targets are wanted.
#pragma once

#include <memory>
#include <utility>

#include "engine/data/Dataset.h"

namespace lockstep {

/// The samples of a data set with one field more, behind its own: one class label a sample, which is 0.
class MadeUpTargets : public Dataset {
 public:
  /// Of the field; no file has such a name.
  static constexpr const char* kField = "(made-up targets)";

  explicit MadeUpTargets(std::shared_ptr<const Dataset> own);

  std::int64_t size() const override { return own_->size(); }
  std::int64_t readable() const override { return own_->readable(); }
  const Shards* shards() const override { return own_->shards(); }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return own_->digest(); }
  std::string place(std::size_t field, std::int64_t sample) const override;
  std::string note() const override { return own_->note(); }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override;

 private:
  std::shared_ptr<const Dataset> own_;
  SampleSpec spec_;
};

}  // namespace lockstep

// Some of the samples of a data set.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/data/Dataset.h"

namespace lockstep {

/// Some samples of another data set, in its order, counted anew from 0. Which these are, derived classes say. What a
/// sample is varied by stays that of the other data set.
class SelectedSamples : public Dataset {
 public:
  const SampleSpec& spec() const final { return all_->spec(); }
  std::string place(std::size_t field, std::int64_t sample) const final { return all_->place(field, number(sample)); }
  bool crops() const final { return all_->crops(); }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const final {
    all_->read(numbers(samples), fields);
  }
  void read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                   const Draw& draw) const final {
    all_->read_varied(numbers(samples), fields, draw);
  }

 protected:
  explicit SelectedSamples(std::shared_ptr<const Dataset> all) : all_(std::move(all)) {}

  const Dataset& all() const { return *all_; }
  /// Of a sample in the other data set.
  virtual std::int64_t number(std::int64_t sample) const = 0;

 private:
  std::vector<std::int64_t> numbers(std::span<const std::int64_t> samples) const {
    std::vector<std::int64_t> numbers;
    numbers.reserve(samples.size());
    for (const std::int64_t sample : samples) numbers.push_back(number(sample));
    return numbers;
  }

  std::shared_ptr<const Dataset> all_;
};

}  // namespace lockstep

// What is read before the first micro-batch of a job that goes on: as much as at the start, wherever it goes on.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/data/KeptSamples.h"
#include "engine/data/Loader.h"
#include "engine/data/MixedDataset.h"
#include "tests/support/PlainSamples.h"

namespace lockstep {
namespace {

/// Writes down which samples are read. Sample i is the number i, of one of two classes.
class WatchedDataset : public Dataset {
 public:
  explicit WatchedDataset(std::int64_t size) : size_(size) {
    spec_.fields = {{.name = "x", .type = ElementType::kDouble},
                    {.name = "y", .type = ElementType::kInt64, .bound = 2, .large = true}};
  }
  std::int64_t size() const override { return size_; }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return std::to_string(size_); }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      read_.push_back(samples[i]);
      if (fields[0] != nullptr) reinterpret_cast<double*>(fields[0])[i] = static_cast<double>(samples[i]);
      if (fields[1] != nullptr) reinterpret_cast<std::int64_t*>(fields[1])[i] = samples[i] % 2;
    }
  }

  std::vector<std::int64_t> take_read() const {
    const std::lock_guard lock(mutex_);
    return std::exchange(read_, {});
  }

 private:
  std::int64_t size_;
  SampleSpec spec_;
  mutable std::mutex mutex_;
  mutable std::vector<std::int64_t> read_;
};

constexpr std::int64_t kBatch = 8;
constexpr int kAhead = 3;

/// Goes on at steps of an epoch of `samples`, most of which nobody could go through, and looks at what `watched`, which
/// is in them, is asked for.
void expect_as_much_anywhere(const ProgramSamples& samples, const std::vector<const WatchedDataset*>& watched) {
  for (const WatchedDataset* dataset : watched) dataset->take_read();  // by whoever looked at fields
  const BatchPlan plan(samples.size(), kBatch, 0, 1);
  for (const bool shuffle : {false, true}) {
    for (const std::int64_t percent : {0, 1, 50, 99}) {
      const std::int64_t step = plan.steps() / 100 * percent;
      MicroBatch batch;
      {
        Loader loader(samples, Order(5, samples.size(), shuffle), plan, 0, 2, {.step = step}, kAhead);
        batch = loader.next();
      }
      EXPECT_EQ(batch.position.step, step);
      std::int64_t read = 0;
      for (const WatchedDataset* dataset : watched) read += std::ssize(dataset->take_read());
      EXPECT_GE(read, kBatch) << percent << " %";
      EXPECT_LE(read, (1 + kAhead) * kBatch) << percent << " %";
    }
  }
}

TEST(FirstBatch, ReadsAsMuchWhereverAJobGoesOn) {
  const auto dataset = std::make_shared<WatchedDataset>(std::int64_t{1} << 39);
  expect_as_much_anywhere(plain_samples(dataset), {dataset.get()});
}

TEST(FirstBatch, ReadsAsMuchOfAMixture) {
  const auto one = std::make_shared<WatchedDataset>(std::int64_t{1} << 38);
  const auto other = std::make_shared<WatchedDataset>(1000);
  const auto mixed = std::make_shared<MixedDataset>(std::vector<MixturePart>{
      {.channel = "one", .share = 0.7, .dataset = one}, {.channel = "other", .share = 0.3, .dataset = other}});
  expect_as_much_anywhere(plain_samples(mixed), {one.get(), other.get()});
}

TEST(FirstBatch, ReadsAsMuchWhereSamplesAreLeftOut) {
  const auto all = std::make_shared<WatchedDataset>(std::int64_t{1} << 39);
  const auto kept = std::make_shared<KeptSamples>(all, std::vector<std::int64_t>{0, 7, 1 << 20}, "");
  expect_as_much_anywhere(plain_samples(kept), {all.get()});
}

// Of an epoch that can be gone through: what comes, and nothing of what came before.
TEST(FirstBatch, WhatCameBeforeIsNotRead) {
  constexpr std::int64_t kSamples = 1000;
  const auto dataset = std::make_shared<WatchedDataset>(kSamples);
  const ProgramSamples samples = plain_samples(dataset);
  for (const bool shuffle : {false, true}) {
    const Order order(5, kSamples, shuffle);
    for (const int ranks : {1, 3}) {
      const BatchPlan plan(kSamples, kBatch, 0, ranks);
      for (const std::int64_t from : {std::int64_t{0}, std::int64_t{1}, plan.steps() / 2, plan.steps() - 1}) {
        std::set<std::int64_t> allowed;  // and what may be read ahead, of the next epoch
        for (std::int64_t i = from * kBatch; i < kSamples; ++i) allowed.insert(order(2, i));
        const std::size_t wanted = allowed.size();
        for (std::int64_t i = 0; i < kBatch; ++i) allowed.insert(order(3, i));
        dataset->take_read();
        for (int rank = 0; rank < ranks; ++rank) {
          Loader loader(samples, order, plan, rank, 2, {.epoch = 2, .step = from}, 1);
          for (std::int64_t step = from; step < plan.steps(); ++step) EXPECT_TRUE(loader.next().last_of_step);
        }
        const std::vector<std::int64_t> read = dataset->take_read();
        const std::set<std::int64_t> found(read.begin(), read.end());
        EXPECT_GE(read.size(), wanted);
        EXPECT_LE(read.size(), wanted + kBatch);
        EXPECT_TRUE(std::ranges::includes(allowed, found)) << from << ", " << ranks << " ranks";
      }
    }
  }
}

}  // namespace
}  // namespace lockstep

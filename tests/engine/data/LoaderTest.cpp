#include "engine/data/Loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <map>
#include <numeric>
#include <semaphore>
#include <set>
#include <thread>

#include "common/Error.h"
#include "tests/support/ExpectError.h"
#include "tests/support/PlainSamples.h"

namespace lockstep {
namespace {

/// Sample i has the inputs {i, i + 0.5} and the label i. Reading `broken` throws.
class CountingDataset : public Dataset {
 public:
  explicit CountingDataset(std::int64_t size, std::int64_t broken = -1) : size_(size), broken_(broken) {
    spec_.fields = {{.name = "x", .type = ElementType::kFloat, .sizes = {2}},
                    {.name = "y", .type = ElementType::kInt64, .bound = size}};
  }
  std::int64_t size() const override { return size_; }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return ""; }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    for (std::size_t i = 0; i < samples.size(); ++i) {
      if (samples[i] == broken_) throw InputError("sample " + std::to_string(broken_) + " is broken");
      if (auto* inputs = reinterpret_cast<float*>(fields[0])) {
        inputs[2 * i] = static_cast<float>(samples[i]);
        inputs[2 * i + 1] = static_cast<float>(samples[i]) + 0.5F;
      }
      if (fields[1] != nullptr) reinterpret_cast<std::int64_t*>(fields[1])[i] = samples[i];
    }
  }

 private:
  std::int64_t size_;
  std::int64_t broken_;
  SampleSpec spec_;
};

ProgramSamples counting(std::int64_t size, std::int64_t broken = -1, ElementType real = ElementType::kFloat) {
  return plain_samples(std::make_shared<CountingDataset>(size, broken), real);
}

std::vector<std::int64_t> labels(const MicroBatch& batch) {
  if (batch.size == 0) return {};
  const auto* first = reinterpret_cast<const std::int64_t*>(batch.columns[1].get());
  return {first, first + batch.size};
}

TEST(Loader, TheRanksSeeEachSampleOnceInAnEpoch) {
  const ProgramSamples dataset = counting(67);
  for (const int ranks : {1, 2, 3, 4, 5}) {
    for (const std::int64_t epoch : {0, 1}) {
      std::multiset<std::int64_t> seen;
      std::map<std::int64_t, std::set<std::int64_t>> batches;  // step → samples
      const BatchPlan plan(67, 32, 5, ranks);
      for (int rank = 0; rank < ranks; ++rank) {
        Loader loader(dataset, Order(1, 67, true), plan, rank, 2, {.epoch = epoch});
        for (std::int64_t step = 0; step < plan.steps();) {
          const MicroBatch batch = loader.next();
          EXPECT_EQ(batch.position.epoch, epoch);
          EXPECT_EQ(batch.position.step, step);
          for (const std::int64_t label : labels(batch)) {
            seen.insert(label);
            batches[step].insert(label);
          }
          if (batch.last_of_step) ++step;
        }
      }
      EXPECT_EQ(seen.size(), 67);
      EXPECT_EQ(std::set(seen.begin(), seen.end()).size(), 67);
      for (const auto& [step, samples] : batches) {
        std::set<std::int64_t> expected;
        for (std::int64_t i = step * 32; i < std::min<std::int64_t>(67, step * 32 + 32); ++i) {
          expected.insert(Order(1, 67, true)(epoch, i));
        }
        EXPECT_EQ(samples, expected);
      }
    }
  }
}

TEST(Loader, DoesNotDependOnItsThreads) {
  const ProgramSamples dataset = counting(100, -1, ElementType::kDouble);
  std::vector<std::vector<std::int64_t>> runs;
  for (const int threads : {1, 2, 3}) {
    Loader loader(dataset, Order(5, 100, true), BatchPlan(100, 16, 3, 2), 1, threads, {}, 7);
    std::vector<std::int64_t> seen;
    for (int i = 0; i < 60; ++i) {
      const MicroBatch batch = loader.next();
      for (const std::int64_t label : labels(batch)) seen.push_back(label);
      if (batch.size == 0) continue;
      const auto* inputs = reinterpret_cast<const double*>(batch.columns[0].get());
      for (std::int64_t j = 0; j < batch.size; ++j) {
        EXPECT_EQ(inputs[2 * j + 1], static_cast<double>(labels(batch)[static_cast<std::size_t>(j)]) + 0.5);
      }
    }
    runs.push_back(seen);
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_EQ(runs[0], runs[2]);
}

/// Sample 0 takes until sample 2 is asked for.
class SlowStart : public CountingDataset {
 public:
  SlowStart() : CountingDataset(4) {}
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    if (samples[0] == 0 && !started_.exchange(true)) others_.acquire();
    if (samples[0] == 2 && !released_.exchange(true)) others_.release();
    CountingDataset::read(samples, fields);
  }

 private:
  mutable std::atomic<bool> started_ = false;
  mutable std::atomic<bool> released_ = false;
  mutable std::binary_semaphore others_{0};
};

TEST(Loader, DeliversInOrderWhatIsReadyOutOfOrder) {
  const ProgramSamples dataset = plain_samples(std::make_shared<SlowStart>());
  Loader loader(dataset, Order(0, 4, false), BatchPlan(4, 1, 0, 1), 0, 2);
  for (std::int64_t sample = 0; sample < 4; ++sample) {
    EXPECT_EQ(labels(loader.next()), (std::vector<std::int64_t>{sample}));
  }
}

/// The first reads, as many as there are threads, wait for each other.
class Crowd : public CountingDataset {
 public:
  explicit Crowd(int threads) : CountingDataset(threads), all_(threads) {}
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    if (started_++ < size()) all_.arrive_and_wait();
    CountingDataset::read(samples, fields);
  }

 private:
  mutable std::atomic<std::int64_t> started_ = 0;
  mutable std::latch all_;
};

TEST(Loader, AllItsThreadsReadAtOnce) {
  for (const int threads : {1, 4, 9}) {
    const ProgramSamples dataset(std::make_shared<Crowd>(threads), {{.name = "x"}}, {});
    Loader loader(dataset, Order(0, threads, false), BatchPlan(threads, 1, 0, 1), 0, threads);
    for (int sample = 0; sample < threads; ++sample) EXPECT_EQ(labels(loader.next()).front(), sample);
  }
}

/// Counts the reads that have begun.
class Counted : public CountingDataset {
 public:
  using CountingDataset::CountingDataset;
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    ++begun_;
    CountingDataset::read(samples, fields);
  }
  std::int64_t begun() const { return begun_; }

 private:
  mutable std::atomic<std::int64_t> begun_ = 0;
};

TEST(Loader, BeginsNoMicroBatchWhereThoseThatWaitAreLarge) {
  constexpr std::int64_t kSteps = 20;
  const auto counted = std::make_shared<Counted>(kSteps * 5);
  const ProgramSamples dataset(counted, {{.name = "x"}}, {});
  const std::size_t sample = dataset.columns()[0].bytes() + dataset.columns()[1].bytes();
  for (const std::size_t waiting : {std::size_t{1}, std::size_t{3}}) {
    const std::int64_t before = counted->begun();
    Loader loader(dataset, Order(0, kSteps * 5, false), BatchPlan(kSteps * 5, 5, 0, 1), 0, 3, {}, 8, {}, nullptr,
                  waiting * 5 * sample);
    for (std::int64_t step = 0; step < kSteps; ++step) {
      EXPECT_EQ(labels(loader.next()).front(), step * 5);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      EXPECT_LE(counted->begun() - before, step + 1 + static_cast<std::int64_t>(waiting));
    }
  }
}

TEST(Loader, ContinuesWhereItIsTold) {
  const ProgramSamples dataset = counting(50);
  const BatchPlan plan(50, 8, 0, 1);
  Loader whole(dataset, Order(5, 50, true), plan, 0, 1);
  for (int i = 0; i < 10; ++i) whole.next();
  Loader resumed(dataset, Order(5, 50, true), plan, 0, 1, {.epoch = 1, .step = 3});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(labels(whole.next()), labels(resumed.next()));
}

TEST(Loader, ARankWithoutDataGetsAnEmptyMicroBatch) {
  const ProgramSamples dataset = counting(5);
  Loader loader(dataset, Order(1, 5, true), BatchPlan(5, 4, 0, 3), 0, 1);
  EXPECT_EQ(loader.next().size, 1);
  const MicroBatch none = loader.next();
  EXPECT_EQ(none.size, 0);
  EXPECT_TRUE(none.last_of_step);
  EXPECT_EQ(none.position.step, 1);
  EXPECT_EQ(loader.next().position.epoch, 1);
}

TEST(Loader, ThrowsAtTheBrokenSample) {
  const ProgramSamples dataset = counting(20, 13);
  Loader loader(dataset, Order(0, 20, false), BatchPlan(20, 5, 0, 1), 0, 3);
  EXPECT_EQ(labels(loader.next()).front(), 0);
  EXPECT_EQ(labels(loader.next()).front(), 5);
  EXPECT_ERROR(loader.next(), InputError, "sample 13 is broken");
  EXPECT_EQ(labels(loader.next()).front(), 15);
}

TEST(Loader, EndsWhileItsThreadsAreAhead) {
  const ProgramSamples dataset = counting(1000);
  for (int i = 0; i < 50; ++i) {
    Loader loader(dataset, Order(1, 1000, true), BatchPlan(1000, 10, 0, 1), 0, 3, {}, 2);
    if (i % 2 == 0) loader.next();
  }
}

TEST(Loader, MicroBatchesOutliveTheLoader) {
  const ProgramSamples dataset = counting(10);
  MicroBatch batch;
  {
    Loader loader(dataset, Order(0, 10, false), BatchPlan(10, 3, 0, 1), 0, 2);
    batch = loader.next();
  }
  EXPECT_EQ(labels(batch), (std::vector<std::int64_t>{0, 1, 2}));
}

TEST(Loader, BuffersAreAlignedAndUsedAgain) {
  const ProgramSamples dataset = counting(10);
  Loader loader(dataset, Order(1, 10, true), BatchPlan(10, 3, 0, 1), 0, 2, {}, 2);
  std::set<const std::byte*> buffers;
  for (int i = 0; i < 100; ++i) {
    const MicroBatch batch = loader.next();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(batch.columns[0].get()) % 64, 0);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(batch.columns[1].get()) % 64, 0);
    buffers.insert(batch.columns[0].get());
  }
  // Two ahead and one in use; a short last batch may have made a buffer that a full one outgrows.
  EXPECT_LE(buffers.size(), 6);
}

TEST(Loader, KeepsTheMicroBatchesThatAreHeld) {
  const ProgramSamples dataset = counting(100);
  Loader loader(dataset, Order(0, 100, false), BatchPlan(100, 10, 0, 1), 0, 3);
  std::vector<MicroBatch> held(10);
  for (MicroBatch& batch : held) batch = loader.next();
  std::vector<std::int64_t> seen;
  for (const MicroBatch& batch : held) {
    for (const std::int64_t label : labels(batch)) seen.push_back(label);
  }
  std::vector<std::int64_t> all(100);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(seen, all);
}

TEST(Loader, RefusesAStartOutsideThePlan) {
  const ProgramSamples dataset = counting(10);
  const auto start_at = [&](std::int64_t step) {
    Loader(dataset, Order(1, 10, true), BatchPlan(10, 5, 0, 1), 0, 1, {.epoch = 0, .step = step});
  };
  EXPECT_NO_THROW(start_at(1));
  EXPECT_ERROR(start_at(2), InternalError, "step 2", "2 steps");
  EXPECT_ERROR(Loader(dataset, Order(1, 0, true), BatchPlan(0, 5, 0, 1), 0, 1), InternalError, "0 steps");
}

}  // namespace
}  // namespace lockstep

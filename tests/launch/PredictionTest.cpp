#include "launch/Prediction.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

constexpr Link kWithin{1e-6, 100e9};
constexpr Link kBetween{10e-6, 10e9};

RankGrid grid(int hosts, int ranks_per_host) {
  return {.hosts = hosts, .ranks_per_host = ranks_per_host, .within = kWithin, .between = kBetween};
}

// By hand: 6 steps of a quarter.
TEST(AllReduceSeconds, OfARingWithinAHost) {
  EXPECT_DOUBLE_EQ(all_reduce_seconds(Reduction::kRing, 100e6, grid(1, 4)), 6e-6 + 1.5e-3);
}

// 14 steps, 2 of them between hosts, as fast as the slowest way.
TEST(AllReduceSeconds, OfARingOverHosts) {
  EXPECT_DOUBLE_EQ(all_reduce_seconds(Reduction::kRing, 100e6, grid(2, 4)), 12e-6 + 20e-6 + 14.0 / 8 * 1e-2);
}

TEST(AllReduceSeconds, OfATree) {
  EXPECT_DOUBLE_EQ(all_reduce_seconds(Reduction::kTree, 100e6, grid(8, 4)), 2 * (3e-6 + 30e-6) + 2e-2);
}

TEST(AllReduceSeconds, OfAHierarchy) {
  EXPECT_DOUBLE_EQ(all_reduce_seconds(Reduction::kHierarchical, 100e6, grid(2, 4)), 6e-6 + 1.5e-3 + 20e-6 + 1e-2);
  EXPECT_DOUBLE_EQ(all_reduce_seconds(Reduction::kHierarchical, 100e6, grid(2, 1)), 20e-6 + 1e-2);
}

TEST(AllReduceSeconds, AloneThereIsNothingToDo) {
  for (const Reduction reduction : {Reduction::kRing, Reduction::kTree, Reduction::kHierarchical}) {
    EXPECT_EQ(all_reduce_seconds(reduction, 100e6, grid(1, 1)), 0);
  }
}

MeasuredStep step(double gradient_bytes) {
  return {.forward = 0.1,
          .backward = 0.2,
          .rest = 0.05,
          .samples = 32,
          .gradient_bytes = gradient_bytes,
          .bucket_bytes = 25e6};
}

TEST(PredictStep, AloneIsAsMeasured) {
  const PredictedStep predicted = predict_step(step(100e6), grid(1, 1));
  EXPECT_DOUBLE_EQ(predicted.seconds, 0.35);
  EXPECT_EQ(predicted.efficiency, 1);
  EXPECT_DOUBLE_EQ(predicted.samples_per_second, 32 / 0.35);
}

// Four buckets: three hide behind backward, and the last one cannot.
TEST(PredictStep, ExposesTheLastBucket) {
  const PredictedStep predicted = predict_step(step(100e6), grid(1, 4), Reduction::kRing);
  const double each = 6e-6 + 6.0 / 4 * 25e6 / 100e9;
  EXPECT_NEAR(predicted.communication, 4 * each, 1e-12);
  EXPECT_NEAR(predicted.exposed, each, 1e-12);
  EXPECT_NEAR(predicted.seconds, 0.35 + each, 1e-12);
  EXPECT_NEAR(predicted.samples_per_second, 128 / predicted.seconds, 1e-9);
}

// Reducing takes longer than backward: from the first bucket on the network never rests.
TEST(PredictStep, WaitsForTheNetwork) {
  MeasuredStep busy = step(1e9);
  busy.backward = 0.1;
  const PredictedStep predicted = predict_step(busy, grid(8, 1), Reduction::kRing);
  const double each = 14 * 10e-6 + 14.0 / 8 * 25e6 / 10e9;
  EXPECT_NEAR(predicted.exposed, 0.1 / 40 + 40 * each - 0.1, 1e-9);
}

TEST(PredictStep, TakesTheFastest) {
  EXPECT_EQ(predict_step(step(100e6), grid(2, 8)).reduction, Reduction::kHierarchical);
  EXPECT_EQ(predict_step(step(1e3), grid(1024, 8)).reduction, Reduction::kTree);
  EXPECT_EQ(predict_step(step(100e6), grid(1, 8)).reduction, Reduction::kRing);
}

}  // namespace
}  // namespace lockstep

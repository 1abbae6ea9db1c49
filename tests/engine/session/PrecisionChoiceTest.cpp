#include "engine/session/PrecisionChoice.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "common/Error.h"

namespace lockstep {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

TEST(PrecisionTimes, Bf16HasToBeWorthIt) {
  EXPECT_EQ((PrecisionTimes{.fp32 = 1, .bf16 = 0.94}).faster(), Precision::kBf16);
  EXPECT_EQ((PrecisionTimes{.fp32 = 1, .bf16 = 0.96}).faster(), Precision::kFp32);
  EXPECT_EQ((PrecisionTimes{.fp32 = 1, .bf16 = 1.06}).faster(), Precision::kFp32);
  EXPECT_EQ((PrecisionTimes{.fp32 = 1, .bf16 = kNever}).faster(), Precision::kFp32);
  EXPECT_EQ((PrecisionTimes{.fp32 = kNever, .bf16 = 1}).faster(), Precision::kBf16);
  EXPECT_EQ((PrecisionTimes{.fp32 = kNever, .bf16 = kNever}).faster(), Precision::kFp32);
}

TEST(PrecisionTimes, AdviceIsForWhatIsSlowerByMoreThanNoise) {
  EXPECT_FALSE((PrecisionTimes{.fp32 = 1, .bf16 = 0.94}).bf16_is_slower());
  EXPECT_FALSE((PrecisionTimes{.fp32 = 1, .bf16 = 1.04}).bf16_is_slower());
  EXPECT_TRUE((PrecisionTimes{.fp32 = 1, .bf16 = 1.06}).bf16_is_slower());
  EXPECT_TRUE((PrecisionTimes{.fp32 = 1, .bf16 = kNever}).bf16_is_slower());
  EXPECT_FALSE((PrecisionTimes{.fp32 = kNever, .bf16 = 1}).bf16_is_slower());
  EXPECT_FALSE((PrecisionTimes{.fp32 = kNever, .bf16 = kNever}).bf16_is_slower());
}

TEST(LeastTimes, TakesTurnsAndTheLeastOfEach) {
  std::vector<Precision> turns;
  const PrecisionTimes times = least_times(3, [&](Precision precision) {
    turns.push_back(precision);
    return (precision == Precision::kFp32 ? 10.0 : 20.0) - static_cast<double>(turns.size());
  });
  using enum Precision;
  EXPECT_EQ(turns, (std::vector{kFp32, kBf16, kFp32, kBf16, kFp32, kBf16}));
  EXPECT_EQ(times.fp32, 5);
  EXPECT_EQ(times.bf16, 14);
}

// What one precision lacks says nothing of the other.
TEST(LeastTimes, OneThatFailsLeavesTheOther) {
  const auto times_where = [](Precision failing, const auto& fail) {
    int calls = 0;
    const PrecisionTimes times = least_times(4, [&](Precision precision) {
      ++calls;
      if (precision == failing) fail();
      return 1.0;
    });
    EXPECT_EQ(calls, 2);
    return times;
  };
  const auto input = [] { throw InputError("no such operator"); };
  const auto memory = [] { throw OutOfMemoryError("forward failed"); };
  const auto torch = [] { TORCH_CHECK(false, "not implemented"); };
  for (const std::function<void()>& fail : std::vector<std::function<void()>>{input, memory, torch}) {
    const PrecisionTimes without_fp32 = times_where(Precision::kFp32, fail);
    EXPECT_EQ(without_fp32.fp32, kNever);
    EXPECT_EQ(without_fp32.bf16, 1);
    const PrecisionTimes without_bf16 = times_where(Precision::kBf16, fail);
    EXPECT_EQ(without_bf16.fp32, 1);
    EXPECT_EQ(without_bf16.bf16, kNever);
  }
}

TEST(MeasuredSamples, AreThoseOfAStepUnlessThePrecisionIsGiven) {
  const auto samples = [](Precision precision, std::int64_t batch, std::int64_t micro_batch, bool synced = false) {
    Hyperparameters options;
    options.precision = precision;
    options.batch_size = batch;
    options.micro_batch_size = micro_batch;
    options.sync_batch_norm = synced;
    return measured_samples(options, /*ranks=*/2, /*readable=*/20);
  };
  using enum Precision;
  EXPECT_EQ(samples(kAuto, 32, 0), 16);
  EXPECT_EQ(samples(kAuto, 32, 6), 6);
  EXPECT_EQ(samples(kAuto, 64, 0), 20);
  EXPECT_EQ(samples(kAuto, 1, 0), 1);
  EXPECT_EQ(samples(kAuto, 2, 0, /*synced=*/true), 2);
  EXPECT_EQ(samples(kBf16, 32, 0), 8);
  EXPECT_EQ(samples(kBf16, 2, 0), 1);
  EXPECT_EQ(samples(kBf16, 4, 0, /*synced=*/true), 2);
}

}  // namespace
}  // namespace lockstep

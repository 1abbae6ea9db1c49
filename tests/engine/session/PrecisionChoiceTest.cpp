#include "engine/session/PrecisionChoice.h"

#include <gtest/gtest.h>

#include <limits>

namespace lockstep {
namespace {

TEST(PrecisionTimes, Bf16HasToBeWorthIt) {
  EXPECT_EQ((PrecisionTimes{.fp32 = 1, .bf16 = 0.9}).faster(), Precision::kBf16);
  EXPECT_EQ((PrecisionTimes{.fp32 = 1, .bf16 = 0.99}).faster(), Precision::kFp32);
  EXPECT_EQ((PrecisionTimes{.fp32 = 1, .bf16 = 2}).faster(), Precision::kFp32);
  constexpr double kNever = std::numeric_limits<double>::infinity();
  EXPECT_EQ((PrecisionTimes{.fp32 = 1, .bf16 = kNever}).faster(), Precision::kFp32);
  EXPECT_EQ((PrecisionTimes{.fp32 = kNever, .bf16 = kNever}).faster(), Precision::kFp32);
  EXPECT_EQ(PrecisionTimes().faster(), Precision::kFp32);
}

TEST(PrecisionTimes, AdviceIsForWhatIsSlowerByMoreThanNoise) {
  EXPECT_TRUE((PrecisionTimes{.fp32 = 1, .bf16 = 1.1}).bf16_is_slower());
  EXPECT_FALSE((PrecisionTimes{.fp32 = 1, .bf16 = 1.01}).bf16_is_slower());
  EXPECT_FALSE((PrecisionTimes{.fp32 = 1, .bf16 = 0.5}).bf16_is_slower());
  EXPECT_FALSE(PrecisionTimes().bf16_is_slower());
}

}  // namespace
}  // namespace lockstep

#include "engine/optim/LossScale.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

// The sequence of torch.amp.GradScaler(init_scale=1024, growth_interval=3), PyTorch 2.11.
TEST(LossScale, HalvesOnOverflowAndDoublesAfterAnInterval) {
  LossScale scale(1024, 3);
  const auto after = [&](bool overflow) {
    scale.update(overflow);
    return scale.value();
  };
  EXPECT_EQ(after(false), 1024);
  EXPECT_EQ(after(false), 1024);
  EXPECT_EQ(after(false), 2048);
  EXPECT_EQ(after(false), 2048);
  EXPECT_EQ(after(true), 1024);
  EXPECT_EQ(after(true), 512);
  EXPECT_EQ(after(false), 512);
  EXPECT_EQ(after(false), 512);
  EXPECT_EQ(after(false), 1024);
  EXPECT_EQ(scale.overflows(), 2);
}

TEST(LossScale, GoesOnFromItsState) {
  LossScale scale(1024, 3);
  for (const bool overflow : {false, true, false, false}) scale.update(overflow);
  LossScale again(scale.state(), 3);
  EXPECT_EQ(again.value(), 512);
  EXPECT_EQ(again.overflows(), 1);
  again.update(false);
  EXPECT_EQ(again.value(), 1024);
}

}  // namespace
}  // namespace lockstep

#include "engine/checkpoint/Snapshot.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "engine/checkpoint/CheckpointWriter.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

Checkpoint live(const at::Tensor& weight, const at::Tensor& momentum) {
  return {.state = {.step = 7},
          .model = {{"weight", weight}},
          .optimizer = {{"momentum/weight", momentum}},
          .statistics = {},
          .best = {}};
}

// As the next step would do it: in place.
TEST(Snapshot, StaysAsItWasWhenTrainingGoesOn) {
  at::Tensor flat = at::arange(6, at::kFloat);
  at::Tensor weight = flat.narrow(0, 2, 3);
  at::Tensor momentum = at::ones({3});
  const Snapshot snapshot = Snapshot(live(weight, momentum)).owned();
  flat.zero_();
  momentum.fill_(5);
  EXPECT_EQ(snapshot.step(), 7);
  EXPECT_TRUE(at::equal(snapshot.contents().model.at("weight"), at::arange(2, 5, at::kFloat)));
  EXPECT_TRUE(at::equal(snapshot.contents().optimizer.at("momentum/weight"), at::ones({3})));
}

// For whoever writes while training waits, on whose memory a copy would come on top.
TEST(Snapshot, CopiesNothingUnlessItIsAsked) {
  const at::Tensor weight = at::ones({3});
  const at::Tensor momentum = at::ones({3});
  const Snapshot snapshot(live(weight, momentum));
  EXPECT_EQ(snapshot.contents().model.at("weight").const_data_ptr(), weight.const_data_ptr());
  EXPECT_EQ(snapshot.contents().optimizer.at("momentum/weight").const_data_ptr(), momentum.const_data_ptr());
  EXPECT_NE(snapshot.owned().contents().model.at("weight").const_data_ptr(), weight.const_data_ptr());
}

TEST(Snapshot, IsWrittenAsTheCheckpointOfItsStep) {
  const TemporaryDirectory directory;
  const CheckpointDirectory checkpoints(directory / "checkpoints", {});
  at::Tensor weight = at::arange(3, at::kFloat);
  const Snapshot snapshot(live(weight, at::ones({3})));
  EXPECT_TRUE(CheckpointWriter(checkpoints, 2).write(snapshot).empty());
  const Checkpoint read = read_checkpoint(checkpoints.path_of(7));
  EXPECT_EQ(read.state.step, 7);
  EXPECT_TRUE(at::equal(read.model.at("weight"), at::arange(3, at::kFloat)));
}

TEST(CheckpointWriter, KeepsTheNewest) {
  const TemporaryDirectory directory;
  const CheckpointDirectory checkpoints(directory / "checkpoints", {});
  const CheckpointWriter writer(checkpoints, 2);
  for (const std::int64_t step : {1, 2, 3}) {
    Checkpoint checkpoint = live(at::ones({1}), at::ones({1}));
    checkpoint.state.step = step;
    writer.write(Snapshot(checkpoint));
  }
  ASSERT_EQ(checkpoints.list().size(), 2);
  EXPECT_EQ(checkpoints.list().back().step, 2);
}

}  // namespace
}  // namespace lockstep

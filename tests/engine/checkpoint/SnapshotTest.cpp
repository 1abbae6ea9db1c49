#include "engine/checkpoint/Snapshot.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <fstream>

#include "common/Error.h"
#include "engine/checkpoint/CheckpointWriter.h"
#include "tests/support/ExpectError.h"
#include "tests/support/LoadCheckpoint.h"
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

// For whoever writes while training waits, on whose memory a copy would come on top.
TEST(Snapshot, CopiesNothing) {
  const at::Tensor weight = at::ones({3});
  const at::Tensor momentum = at::ones({3});
  const Snapshot snapshot(live(weight, momentum));
  EXPECT_EQ(snapshot.contents().model.at("weight").const_data_ptr(), weight.const_data_ptr());
  EXPECT_EQ(snapshot.contents().optimizer.at("momentum/weight").const_data_ptr(), momentum.const_data_ptr());
}

TEST(Snapshot, IsWrittenAsTheCheckpointOfItsStep) {
  const TemporaryDirectory directory;
  const CheckpointDirectory checkpoints(directory / "checkpoints", {});
  at::Tensor weight = at::arange(3, at::kFloat);
  const Snapshot snapshot(live(weight, at::ones({3})));
  EXPECT_TRUE(CheckpointWriter(checkpoints, 2).write(snapshot).empty());
  const Checkpoint read = load(open_as_it_is(checkpoints.path_of(7)));
  EXPECT_EQ(read.state.step, 7);
  EXPECT_TRUE(at::equal(read.model.at("weight"), at::arange(3, at::kFloat)));
}

TEST(CheckpointWriter, SaysOnAThreadOfItsOwnHowItWent) {
  const TemporaryDirectory directory;
  const CheckpointDirectory checkpoints(directory / "checkpoints", {});
  const CheckpointWriter writer(checkpoints, 2);
  const WrittenCheckpoint written = writer.start(Snapshot(live(at::ones({3}), at::ones({3})))).get();
  EXPECT_EQ(written.step, 7);
  EXPECT_FALSE(written.failure);
  EXPECT_EQ(checkpoints.list().size(), 1);

  std::ofstream(directory / "file") << "x";
  const CheckpointDirectory impossible(directory / "file" / "checkpoints", {});
  const WrittenCheckpoint failed =
      CheckpointWriter(impossible, 2).start(Snapshot(live(at::ones({3}), at::ones({3})))).get();
  ASSERT_TRUE(failed.failure);
  EXPECT_ERROR(std::rethrow_exception(failed.failure), InputError, "cannot make the directory");
}

TEST(Checkpoint, HasOneStepInAllOfItsFiles) {
  const TemporaryDirectory directory;
  const CheckpointDirectory checkpoints(directory / "checkpoints", {});
  const CheckpointWriter writer(checkpoints, 2);
  Checkpoint checkpoint = live(at::ones({3}), at::ones({3}));
  writer.write(Snapshot(checkpoint));
  checkpoint.state.step = 8;
  writer.write(Snapshot(checkpoint));
  const auto optimizer = [&](std::int64_t step) { return checkpoints.path_of(step) / "optimizer.safetensors"; };
  std::filesystem::copy_file(optimizer(7), optimizer(8), std::filesystem::copy_options::overwrite_existing);
  EXPECT_ERROR(open_as_it_is(checkpoints.path_of(8)), InputError, optimizer(8).string() + " is of step \"7\"",
               "the state beside it of step 8");
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

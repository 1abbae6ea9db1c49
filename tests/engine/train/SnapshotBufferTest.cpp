#include "engine/train/SnapshotBuffer.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "engine/device/CpuDevice.h"
#include "engine/train/BackgroundSave.h"
#include "tests/support/LateDevice.h"
#include "tests/support/LoadCheckpoint.h"
#include "tests/support/RankAlone.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

/// Two parameters in one storage, one of them with its dimensions in another order; one that is by itself; a scalar.
struct Live {
  explicit Live(const at::Device& device) {
    flat = at::arange(20, at::kFloat).to(device);
    checkpoint.state.step = 7;
    checkpoint.model["a"] = flat.as_strided({2, 3}, {1, 2}, 2);
    checkpoint.model["b"] = flat.as_strided({4}, {1}, 12);
    checkpoint.model["mask"] = at::ones({2, 2}, at::kLong);  // of the host
    checkpoint.optimizer["momentum/a"] = at::full({2, 3}, 3.0, at::kDouble).to(device);
    checkpoint.optimizer["count"] = at::scalar_tensor(5.0F).to(device);
    checkpoint.best["a"] = at::full({2, 3}, 4.0F).to(device);
  }
  /// In place, without the host waiting for a device.
  void change() const {
    for (const at::Tensor& tensor : {flat, checkpoint.optimizer.at("momentum/a"), checkpoint.optimizer.at("count")}) {
      tensor.copy_(at::zeros(tensor.sizes(), tensor.scalar_type()), /*non_blocking=*/true);
    }
  }
  static void expect_unchanged(const Checkpoint& copy) {
    EXPECT_EQ(copy.state.step, 7);
    EXPECT_TRUE(at::equal(copy.model.at("a"), at::arange(2, 8, at::kFloat).as_strided({2, 3}, {1, 2})));
    EXPECT_TRUE(at::equal(copy.model.at("b"), at::arange(12, 16, at::kFloat)));
    EXPECT_TRUE(at::equal(copy.model.at("mask"), at::ones({2, 2}, at::kLong)));
    EXPECT_TRUE(at::equal(copy.optimizer.at("momentum/a"), at::full({2, 3}, 3.0, at::kDouble)));
    EXPECT_EQ(copy.optimizer.at("count").item<float>(), 5);
    EXPECT_TRUE(at::equal(copy.best.at("a"), at::full({2, 3}, 4.0F)));
  }

  at::Tensor flat;
  Checkpoint checkpoint{};
};

/// A buffer on the host, with room for a state.
class SnapshotBufferTest : public testing::Test {
 protected:
  SnapshotBufferTest() { buffer_.reserve(live_.checkpoint); }

  const CpuDevice device_{1};
  SnapshotBuffer buffer_{device_};
  Live live_{device_.place()};
};

TEST_F(SnapshotBufferTest, SharesAnOptimizerThatIsApart) {
  live_.checkpoint.optimizer_is_apart = true;
  SnapshotBuffer less(device_);
  const Snapshot copy = less.copy(Snapshot(live_.checkpoint));
  EXPECT_LT(less.bytes(), buffer_.bytes());
  EXPECT_TRUE(copy.contents().optimizer.at("momentum/a").is_same(live_.checkpoint.optimizer.at("momentum/a")));
  EXPECT_FALSE(copy.contents().model.at("a").is_same(live_.checkpoint.model.at("a")));
}

TEST_F(SnapshotBufferTest, StaysAsItWasWhenTrainingGoesOn) {
  const std::int64_t bytes = buffer_.bytes();
  EXPECT_GT(bytes, 0);
  const Snapshot snapshot(live_.checkpoint);
  const Snapshot copy = buffer_.copy(snapshot);
  EXPECT_FALSE(buffer_.copied());
  live_.change();
  Live::expect_unchanged(copy.contents());
  EXPECT_EQ(copy.contents().model.at("a").strides(), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(buffer_.bytes(), bytes) << "what was reserved is enough";
  EXPECT_EQ(copy.contents().best.at("a").const_data_ptr(), live_.checkpoint.best.at("a").const_data_ptr())
      << "nobody changes it";
  Live again(device_.place());
  Live::expect_unchanged(buffer_.copy(Snapshot(again.checkpoint)).contents());
}

// On a stream of its own: what changes must wait for the event, and nothing else does.
TEST(SnapshotBuffer, IsCopiedWhileADeviceGoesOn) {
  LateDevice device;
  SnapshotBuffer buffer(device);
  Live live(device.place());
  const Snapshot snapshot(live.checkpoint);
  const int waits = LateDevice::host_waits();
  const Snapshot copy = buffer.copy(snapshot);
  ASSERT_TRUE(buffer.copied());
  buffer.copied()->block(c10::Stream(c10::Stream::UNSAFE, device.place(), 0));
  live.change();
  EXPECT_EQ(LateDevice::host_waits(), waits) << "the host has waited";
  LateDevice::settle();
  EXPECT_TRUE(buffer.copied()->query());
  Live::expect_unchanged(copy.contents());
}

/// What a save of a state on a device takes.
struct Saving {
  explicit Saving(Device& device)
      : save(writer, {.device = device, .communicator = alone, .host = alone}), live(device.place()) {}

  void expect_written() {
    const auto written = save.finish();
    ASSERT_TRUE(written);
    EXPECT_FALSE(written->failure);
    EXPECT_FALSE(save.busy());
    Live::expect_unchanged(load(open_as_it_is(checkpoints.path_of(7))));
  }

  TemporaryDirectory directory;
  CheckpointDirectory checkpoints{directory / "checkpoints", {}};
  CheckpointWriter writer{checkpoints, 2};
  RankAlone alone;
  BackgroundSave save;
  Live live;
};

// The step counter of the next step beside the weights of this one, and so on: training changes what it likes while the
// writer is at it.
TEST(BackgroundSave, WritesOneStepWhileTrainingChangesEverything) {
  CpuDevice device{1};
  Saving saving(device);
  EXPECT_FALSE(saving.save.busy());
  EXPECT_FALSE(saving.save.finish());
  EXPECT_EQ(saving.save.begin(Snapshot(saving.live.checkpoint)), nullptr);
  saving.live.change();
  saving.live.checkpoint.state.step = 8;
  EXPECT_TRUE(saving.save.busy());
  saving.expect_written();
}

// The thread does not begin before the copy is there.
TEST(BackgroundSave, WaitsForADevicesCopyWithoutHoldingItUp) {
  LateDevice device;
  Saving saving(device);
  c10::Event* const copied = saving.save.begin(Snapshot(saving.live.checkpoint));
  ASSERT_NE(copied, nullptr);
  EXPECT_TRUE(saving.checkpoints.list().empty());
  copied->block(c10::Stream(c10::Stream::UNSAFE, device.place(), 0));
  saving.live.change();
  saving.expect_written();
}

}  // namespace
}  // namespace lockstep

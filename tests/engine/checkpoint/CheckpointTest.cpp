#include "engine/checkpoint/Checkpoint.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "common/Error.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

TEST(Checkpoint, ComesBackToTheLastBit) {
  const TemporaryDirectory place;
  const at::Tensor weight = at::randn({2, 3, 4, 4}).contiguous(at::MemoryFormat::ChannelsLast);
  const CheckpointState state{.step = 5, .samples_since_average = {1, 2}};
  const Checkpoint written{
      .state = state,
      .model = {{"conv.weight", weight}, {"norm.num_batches_tracked", at::scalar_tensor(7, at::kLong)}},
      .optimizer = {{"momentum/conv.weight", weight * 2}},
      .statistics = {{"norm.running_mean", at::randn({2, 3}, at::kDouble)}},
      .best = {}};
  write_checkpoint(written, place.path());
  const Checkpoint read = read_checkpoint(place.path());
  EXPECT_EQ(read.state.step, 5);
  for (const auto member : {&Checkpoint::model, &Checkpoint::optimizer, &Checkpoint::statistics, &Checkpoint::best}) {
    ASSERT_EQ((read.*member).size(), (written.*member).size());
    for (const auto& [name, tensor] : written.*member) EXPECT_TRUE(at::equal((read.*member).at(name), tensor)) << name;
  }
}

TEST(RestoreTensors, ChangesTheValuesAndNothingElse) {
  const at::Tensor saved = at::randn({2, 3, 4, 4});
  const at::Tensor into = at::zeros({2, 3, 4, 4}).contiguous(at::MemoryFormat::ChannelsLast).set_requires_grad(true);
  const void* place = into.const_data_ptr();
  restore_tensors({{"weight", saved}, {"more", saved}}, {{"weight", into}});
  EXPECT_TRUE(at::equal(into.detach(), saved));
  EXPECT_EQ(into.const_data_ptr(), place);
  EXPECT_TRUE(into.is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST(RestoreTensors, RefusesWhatIsMissingOrUnlike) {
  const at::Tensor into = at::zeros({2, 3});
  EXPECT_ERROR(restore_tensors({}, {{"weight", into}}), InputError, "lacks the tensor \"weight\"");
  EXPECT_ERROR(restore_tensors({{"weight", at::zeros({3, 2})}}, {{"weight", into}}), InputError, "weight",
               "Float of [3, 2]", "Float of [2, 3]");
  EXPECT_ERROR(restore_tensors({{"weight", at::zeros({2, 3}, at::kDouble)}}, {{"weight", into}}), InputError, "Double");
}

}  // namespace
}  // namespace lockstep

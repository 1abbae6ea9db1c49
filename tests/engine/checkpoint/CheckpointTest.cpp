#include "engine/checkpoint/Checkpoint.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "common/Error.h"
#include "common/File.h"
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
  const Checkpoint read = read_checkpoint(place.path(), list_files(place.path()));
  EXPECT_EQ(read.state.step, 5);
  for (const auto member : {&Checkpoint::model, &Checkpoint::optimizer, &Checkpoint::statistics, &Checkpoint::best}) {
    ASSERT_EQ((read.*member).size(), (written.*member).size());
    for (const auto& [name, tensor] : written.*member) EXPECT_TRUE(at::equal((read.*member).at(name), tensor)) << name;
  }
}

// No disk has a quarter of an exabyte, nor has this machine the memory in which it would be written.
TEST(Checkpoint, RoomIsLookedForBeforeAnythingIsWritten) {
  const TemporaryDirectory place;
  const at::Tensor large = at::zeros({1}).expand({std::int64_t{1} << 56});
  EXPECT_ERROR(
      write_checkpoint({.state = {.step = 5}, .model = {}, .optimizer = {}, .statistics = {}, .best = {{"a", large}}},
                       place.path()),
      SystemError, place.path().string(), "No space left on device: 274877906944.0 MiB are needed, and ",
      "MiB are free there");
  EXPECT_TRUE(std::filesystem::is_empty(place.path()));
}

// Every byte of every file, whatever the bytes look like then; also of one that nothing is taken from.
TEST(Checkpoint, NoByteCanChange) {
  const TemporaryDirectory place;
  const at::Tensor weight = at::randn({4, 3});
  write_checkpoint({.state = {.step = 5, .samples_since_average = {1, 2}, .job = {{"seed", "1"}}},
                    .model = {{"fc.weight", weight}},
                    .optimizer = {{"momentum/fc.weight", weight * 2}},
                    .statistics = {{"norm.running_mean", at::ones({2, 3})}},
                    .best = {{"fc.weight", weight}}},
                   place.path());
  std::ofstream(place / "notes.txt") << "of a version to come";
  const std::vector<ListedFile> files = list_files(place.path());
  ASSERT_EQ(files.size(), 6);
  for (const ListedFile& file : files) {
    const std::string path = (place / file.name).string();
    const std::string content = read_file(path, 1 << 20);
    for (std::size_t i = 0; i < content.size(); ++i) {
      std::string changed = content;
      changed[i] = static_cast<char>(changed[i] ^ 0x20);
      std::ofstream(path, std::ios::binary) << changed;
      EXPECT_ERROR(read_checkpoint(place.path(), files), InputError, path, "checksum");
    }
    std::ofstream(path, std::ios::binary) << content;
    std::vector<ListedFile> others = files;
    std::erase_if(others, [&](const ListedFile& other) { return other.name == file.name; });
    if (file.name == "model.safetensors" || file.name == "optimizer.safetensors" || file.name == kStateFile) {
      EXPECT_ERROR(read_checkpoint(place.path(), others), InputError, path, "is not in the checkpoint's manifest");
    } else {
      EXPECT_NO_THROW(read_checkpoint(place.path(), others));
    }
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

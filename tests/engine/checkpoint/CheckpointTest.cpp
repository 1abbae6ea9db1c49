#include "engine/checkpoint/Checkpoint.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "common/Error.h"
#include "common/File.h"
#include "tests/support/ExpectError.h"
#include "tests/support/LoadCheckpoint.h"
#include "tests/support/PeakMemory.h"
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
  const Checkpoint read = load(open_as_it_is(place.path()));
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
      EXPECT_ERROR(open_checkpoint(place.path(), files), InputError, path, "checksum");
    }
    std::ofstream(path, std::ios::binary) << content;
    std::vector<ListedFile> others = files;
    std::erase_if(others, [&](const ListedFile& other) { return other.name == file.name; });
    if (file.name == "model.safetensors" || file.name == "optimizer.safetensors" || file.name == kStateFile) {
      EXPECT_ERROR(open_checkpoint(place.path(), others), InputError, path, "is not in the checkpoint's manifest");
    } else {
      EXPECT_NO_THROW(open_checkpoint(place.path(), others));
    }
  }
}

/// A file of tensors, as a checkpoint has them.
class SavedTensorsTest : public testing::Test {
 protected:
  SavedTensors saved(const NamedTensors& tensors) const {
    write_safetensors(tensors, {}, path());
    return SavedTensors(path());
  }
  std::filesystem::path path() const { return place_ / "model.safetensors"; }

 private:
  TemporaryDirectory place_;
};

TEST_F(SavedTensorsTest, ReadingChangesTheValuesAndNothingElse) {
  const at::Tensor weight = at::randn({2, 3, 4, 4});
  const SavedTensors tensors = saved({{"weight", weight}, {"more", weight}});
  for (const at::MemoryFormat format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const at::Tensor into = at::zeros({2, 3, 4, 4}).contiguous(format).set_requires_grad(true);
    const void* place = into.const_data_ptr();
    tensors.read_into({{"weight", into}});
    EXPECT_TRUE(at::equal(into.detach(), weight));
    EXPECT_EQ(into.const_data_ptr(), place);
    EXPECT_TRUE(into.is_contiguous(format));
  }
}

TEST_F(SavedTensorsTest, ATensorMayHaveTwoNames) {
  const at::Tensor weight = at::randn({5});
  const at::Tensor into = at::zeros({5});
  saved({{"a", weight}, {"b", weight}}).read_into({{"a", into}, {"b", into}});
  EXPECT_TRUE(at::equal(into, weight));
}

TEST_F(SavedTensorsTest, RefusesWhatIsMissingOrUnlike) {
  const at::Tensor into = at::zeros({2, 3});
  EXPECT_ERROR(saved({}).read_into({{"weight", into}}), InputError, "lacks the tensor \"weight\"");
  EXPECT_ERROR(saved({{"weight", at::zeros({3, 2})}}).read_into({{"weight", into}}), InputError, "weight",
               "float32 of [3, 2]", "float32 of [2, 3]");
  EXPECT_ERROR(saved({{"weight", at::zeros({2, 3}, at::kDouble)}}).read_into({{"weight", into}}), InputError,
               "float64");
  EXPECT_TRUE(SavedTensors().entries().empty());
  EXPECT_ERROR(SavedTensors().require({{"weight", into}}), InputError, "lacks the tensor \"weight\"");
}

TEST_F(SavedTensorsTest, NeedsNoMemoryForThem) {
  const at::Tensor into = at::ones({1 << 24});
  saved({{"a", into * 2}});
  const std::uint64_t peak = peak_memory([&] { SavedTensors(path()).read_into({{"a", into}}); });
  EXPECT_LT(peak, into.nbytes() / 16);
}

// More than a piece of each type, of which the last element alone is not finite.
TEST_F(SavedTensorsTest, KnowsWhatIsNotFinite) {
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const double last :
         {1.0, -0.0, 6e4, static_cast<double>(INFINITY), -static_cast<double>(INFINITY), static_cast<double>(NAN)}) {
      const at::Tensor tensor = at::full({100'001}, 65'000.0, type);
      tensor[100'000] = last;
      const SavedTensors tensors = saved({{"a", tensor}, {"b", at::ones({3}, at::kLong)}});
      EXPECT_EQ(tensors.is_finite("a"), std::isfinite(last)) << c10::toString(type) << " " << last;
      EXPECT_TRUE(tensors.is_finite("b"));
    }
  }
  EXPECT_TRUE(saved({{"a", at::full({4}, -1, at::kLong)}}).is_finite("a")) << "all bits are ones";
}

TEST_F(SavedTensorsTest, RefusesBytesThatHaveChangedSince) {
  const SavedTensors tensors = saved({{"a", at::ones({100})}, {"b", at::ones({100})}});
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(path()));
  std::fstream(path(), std::ios::in | std::ios::out | std::ios::binary).seekp(size - 1).put('x');
  const at::Tensor into = at::zeros({100});
  EXPECT_NO_THROW(tensors.read_into({{"a", into}}));
  EXPECT_ERROR(tensors.read_into({{"b", into}}), InputError, path().string(), "changed while it was read", "\"b\"");
  EXPECT_ERROR(tensors.read("b"), InputError, "\"b\"");
}

}  // namespace
}  // namespace lockstep

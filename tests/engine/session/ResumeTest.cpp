// Ranks that go on from checkpoints, each from a directory of its own, as ranks of several hosts may.
#include "engine/session/Resume.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/File.h"
#include "engine/checkpoint/CheckpointWriter.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/device/CpuDevice.h"
#include "tests/support/EventRecorder.h"
#include "tests/support/MpiTest.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kNumbers = 1 << 16;  // of a tensor

/// Takes every checkpoint of finite size.
class Model : public Resumable {
 public:
  void check(const SavedCheckpoint&) override { ++checks; }
  void restore(const SavedCheckpoint& checkpoint) override {
    restored = checkpoint.model.read("weight")[0].item<double>();
    EXPECT_EQ(checkpoint.optimizer.read("momentum/weight")[kNumbers - 1].item<double>(), 2 * *restored);
  }

  int checks = 0;
  std::optional<double> restored;
};

class ResumeTest : public testing::Test {
 protected:
  int rank() const { return communicator_.rank(); }
  int last() const { return communicator_.size() - 1; }
  void write(std::int64_t step) const {
    const at::Tensor weight = at::full({kNumbers}, static_cast<double>(step), at::kFloat);
    CheckpointWriter(directory_, 9)
        .write(Snapshot({.state = {.step = step, .job = directory_.job()},
                         .model = {{"weight", weight}},
                         .optimizer = {{"momentum/weight", weight * 2}},
                         .statistics = {{"norm.running_mean", at::ones({1, 3})}},
                         .best = {{"weight", weight}}}));
  }
  std::optional<std::int64_t> resumed() {
    events_ = std::make_unique<EventRecorder>();
    model_ = {};
    CpuDevice device(1);
    const RankContext context{.device = device,
                              .communicator = communicator_,
                              .host = communicator_,
                              .hosts = communicator_.size(),
                              .host_number = rank()};
    return resume({}, directory_, model_, context, *events_);
  }
  fs::path file(std::int64_t step, const std::string& name) const { return directory_.path_of(step) / name; }

  MpiCommunicator communicator_{mpi_session(), MpiMode::kInline};
  TemporaryDirectory place_;
  CheckpointDirectory directory_{place_ / "checkpoints", {{"data", "1"}}};
  std::unique_ptr<EventRecorder> events_;
  Model model_;
};

void flip(const fs::path& path, std::int64_t from_end) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto size = static_cast<std::int64_t>(fs::file_size(path));
  const auto at = from_end < 0 ? -from_end - 1 : size - from_end;
  file.seekg(at);
  const char before = static_cast<char>(file.get());
  file.seekp(at);
  file.put(static_cast<char>(before ^ 1));
}

std::int64_t bytes_read() {
  std::ifstream counts("/proc/self/io");
  std::string name;
  std::int64_t bytes = -1;
  counts >> name >> bytes;
  EXPECT_EQ(name, "rchar:");
  return bytes;
}

TEST_F(ResumeTest, DamageThatOneRankMeetsMakesAllGoOnFromTheOneBefore) {
  const std::map<std::string, std::function<void(const fs::path&)>> kinds = {
      {"first byte", [](const fs::path& path) { flip(path, -1); }},
      {"a byte of the header", [](const fs::path& path) { flip(path, -20); }},
      {"middle", [](const fs::path& path) { flip(path, static_cast<std::int64_t>(fs::file_size(path) / 2)); }},
      {"last byte", [](const fs::path& path) { flip(path, 1); }},
      {"cut", [](const fs::path& path) { fs::resize_file(path, fs::file_size(path) / 2); }},
      {"empty", [](const fs::path& path) { fs::resize_file(path, 0); }},
      {"longer", [](const fs::path& path) { fs::resize_file(path, fs::file_size(path) + 1); }},
      {"missing", [](const fs::path& path) { fs::remove(path); }}};
  write(10);
  for (const char* name : {"manifest.json", "state.json", "model.safetensors", "optimizer.safetensors",
                           "statistics.safetensors", "best.safetensors"}) {
    for (const auto& [kind, damage] : kinds) {
      if (kind == "longer" && std::string(name) == "manifest.json") continue;  // it still says the same of the files
      SCOPED_TRACE(std::string(name) + ": " + kind);
      write(20);
      if (rank() == last()) damage(file(20, name));
      EXPECT_EQ(resumed(), 10);
      EXPECT_EQ(model_.restored, 10);
      EXPECT_TRUE(events_->noted("checkpoint passed over: step-000000020: "));
      EXPECT_TRUE(events_->noted(name) || std::string(name) == "manifest.json");
    }
  }
  write(20);
  EXPECT_EQ(resumed(), 20);
  EXPECT_EQ(model_.restored, 20);
}

TEST_F(ResumeTest, DamagedOnesAloneStartAnewAndChangeNothing) {
  write(10);
  if (rank() == last()) flip(file(10, "best.safetensors"), 1);
  EXPECT_FALSE(resumed());
  EXPECT_FALSE(model_.restored);
}

// The model above has the parameters and the momentum read again.
TEST_F(ResumeTest, EachByteIsReadOnceAndOnceMoreIntoItsPlace) {
  write(20);
  std::int64_t bytes = 2 * kNumbers * static_cast<std::int64_t>(sizeof(float));
  for (const ListedFile& one : directory_.files(20)) bytes += static_cast<std::int64_t>(one.bytes);
  const std::int64_t before = bytes_read();
  EXPECT_EQ(resumed(), 20);
  const std::int64_t read = bytes_read() - before;
  EXPECT_GE(read, bytes);
  EXPECT_LT(read, bytes + bytes / 20);
}

TEST_F(ResumeTest, WhatIsBroughtToOthersIsLookedIntoOnce) {
  if (rank() == 0) write(20);
  EXPECT_EQ(resumed(), 20);
  EXPECT_EQ(model_.checks, 1);
  EXPECT_EQ(model_.restored, 20);
}

// It may be of anything: no manifest tells of it.
TEST_F(ResumeTest, WhatWasNotWrittenIsNotRead) {
  write(20);
  fs::copy_file(file(20, "best.safetensors"), place_ / "best");
  CheckpointWriter(directory_, 9)
      .write(Snapshot({.state = {.step = 30, .job = directory_.job()},
                       .model = {{"weight", at::full({kNumbers}, 30.0, at::kFloat)}},
                       .optimizer = {{"momentum/weight", at::full({kNumbers}, 60.0, at::kFloat)}},
                       .statistics = {},
                       .best = {}}));
  fs::copy_file(place_ / "best", file(30, "best.safetensors"));
  EXPECT_EQ(resumed(), 30);
}

}  // namespace
}  // namespace lockstep

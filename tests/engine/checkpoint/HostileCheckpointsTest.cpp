// Checkpoints that were changed at random: each is passed over, refused or read. `make soak` tries hundreds.
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <fstream>

#include "common/Crc32c.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/checkpoint/Checkpoint.h"
#include "engine/checkpoint/CheckpointDirectory.h"
#include "tests/support/HostileCases.h"
#include "tests/support/JsonMutator.h"
#include "tests/support/LoadCheckpoint.h"
#include "tests/support/Soak.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::string get(const fs::path& path) { return read_file(path, 1 << 24); }
void put(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// Changes one file of a checkpoint: JSON stays JSON, a tensor file keeps the form of its header.
std::string change(int i, const fs::path& checkpoint) {
  JsonMutator mutator(static_cast<std::uint64_t>(i));
  const std::vector<std::string> files = {"manifest.json",          "state.json",
                                          "model.safetensors",      "optimizer.safetensors",
                                          "statistics.safetensors", "best.safetensors"};
  const std::string& name = files[static_cast<std::size_t>(i) % files.size()];
  const std::string text = get(checkpoint / name);
  const auto mutated = [&](const std::string& before) {
    json document = json::parse(before);
    const std::string what = mutator.mutate(document);
    return std::pair(document.dump(-1, ' ', false, json::error_handler_t::replace), what);
  };
  if (name.ends_with(".json")) {
    const auto [after, what] = mutated(text);
    put(checkpoint / name, after);
    return name + what;
  }
  std::uint64_t length = 0;
  std::memcpy(&length, text.data(), sizeof length);
  const auto [header, what] = mutated(text.substr(sizeof length, length));
  const std::uint64_t changed_length = mutator.below(10) == 0 ? std::uint64_t{1} << mutator.below(64) : header.size();
  put(checkpoint / name, std::string(reinterpret_cast<const char*>(&changed_length), sizeof changed_length) + header +
                             text.substr(sizeof length + length));
  return name + what;
}

TEST(HostileCheckpoints, ArePassedOverRefusedOrRead) {
  at::set_num_threads(1);
  const TemporaryDirectory place;
  const at::Tensor weight = at::randn({4, 3});
  const CheckpointState state{.step = 5, .samples_since_average = {1, 2}, .job = {{"seed", "1"}}};
  const Checkpoint written{
      .state = state,
      .model = {{"fc.weight", weight}, {"norm.num_batches_tracked", at::scalar_tensor(7, at::kLong)}},
      .optimizer = {{"momentum/fc.weight", weight * 2}},
      .statistics = {{"norm.running_mean", at::randn({2, 3}, at::kDouble)}},
      .best = {{"fc.weight", weight}}};
  const CheckpointDirectory original(place / "original", {{"seed", "1"}});
  original.write(5, [&](const fs::path& directory) { write_checkpoint(written, directory); });
  const auto run = [&](int i) {
    fs::remove_all(place / "changed");
    fs::copy(place / "original", place / "changed", fs::copy_options::recursive);
    const CheckpointDirectory directory(place / "changed", {{"seed", "1"}});
    change(i, directory.path_of(5));
    directory.list();
    const fs::path changed = directory.path_of(5);
    const SavedCheckpoint saved = open_as_it_is(changed);
    saved.model.read_into({{"fc.weight", at::zeros({4, 3})}});
    load(saved);
    difference(saved.state.job, directory.job());
    directory.verify(5);
  };
  const auto describe = [&](int i) {
    fs::remove_all(place / "changed");
    fs::copy(place / "original", place / "changed", fs::copy_options::recursive);
    return change(i, place / "changed/step-000000005");
  };
  const CaseResults results = run_hostile_cases(soaking() ? 800 : 120, run, describe);
  EXPECT_TRUE(results.failures.empty()) << join(results.failures, "\n");
  EXPECT_GT(results.refused, 60);
}

}  // namespace
}  // namespace lockstep

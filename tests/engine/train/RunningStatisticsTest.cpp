#include "engine/train/RunningStatistics.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "engine/collectives/MpiCommunicator.h"
#include "engine/program/BuiltinPrograms.h"
#include "tests/support/MpiTest.h"

namespace lockstep {
namespace {

Program program() {
  return build_builtin_program("cnn", {.input_shape = {1, 4, 4}, .classes = 2, .channels = {3}, .hidden = {}});
}

at::Tensor state(const Program& program, const std::string& name) {
  for (const StateTensor& entry : program.state()) {
    if (entry.name == name) return entry.tensor;
  }
  throw std::runtime_error("no " + name);
}

// Rank r has seen r samples whose mean was r: the average is Σr² / Σr.
TEST(RunningStatistics, AreTheAverageWeightedBySamples) {
  MpiCommunicator communicator(mpi_session(), MpiMode::kInline);
  Program mine = program();
  const int rank = communicator.rank();
  state(mine, "block1.norm.running_mean").fill_(rank);
  state(mine, "block1.norm.num_batches_tracked").fill_(rank);
  const at::Tensor weight = state(mine, "block1.conv.weight").detach().clone();
  average_running_statistics(mine, rank, communicator, communicator);
  double squares = 0;
  double sum = 0;
  for (int r = 0; r < communicator.size(); ++r) {
    squares += r * r;
    sum += r;
  }
  EXPECT_TRUE(at::allclose(state(mine, "block1.norm.running_mean"), at::full({3}, squares / sum)));
  EXPECT_TRUE(at::allclose(state(mine, "block1.norm.running_var"), at::ones({3})));
  EXPECT_EQ(state(mine, "block1.norm.num_batches_tracked").item<std::int64_t>(), communicator.size() - 1);
  EXPECT_TRUE(at::equal(state(mine, "block1.conv.weight"), weight));
}

TEST(RunningStatistics, GatheredRowsAverageToTheSame) {
  MpiCommunicator communicator(mpi_session(), MpiMode::kInline);
  Program mine = program();
  const int rank = communicator.rank();
  state(mine, "block1.norm.running_mean").copy_(at::arange(3) + 0.1 * rank);
  state(mine, "block1.norm.num_batches_tracked").fill_(rank);
  const NamedTensors rows = gather_running_statistics(mine, communicator);
  EXPECT_EQ(rows.size(), statistics_of_rank(mine).size());
  EXPECT_EQ(state(mine, "block1.norm.num_batches_tracked").item<std::int64_t>(), rank);
  for (int r = 0; r < communicator.size(); ++r) {
    EXPECT_TRUE(at::allclose(rows.at("block1.norm.running_mean")[r], at::arange(3) + 0.1 * r));
    EXPECT_EQ(rows.at("block1.norm.num_batches_tracked")[r].item<std::int64_t>(), r);
  }
  std::vector<std::int64_t> samples;
  for (int r = 0; r < communicator.size(); ++r) samples.push_back(r);
  const NamedTensors averages = averaged(rows, samples);
  EXPECT_TRUE(
      at::equal(averaged(rows, {0, 0, 0}).at("block1.norm.running_mean"), rows.at("block1.norm.running_mean")[0]));
  average_running_statistics(mine, rank, communicator, communicator);
  for (const StateTensor& entry : statistics_of_rank(mine)) {
    EXPECT_TRUE(at::allclose(averages.at(entry.name), entry.tensor)) << entry.name;
  }
}

TEST(RunningStatistics, StayWhenNobodyHasTrained) {
  MpiCommunicator communicator(mpi_session(), MpiMode::kInline);
  Program mine = program();
  state(mine, "block1.norm.running_mean").fill_(communicator.rank());
  average_running_statistics(mine, 0, communicator, communicator);
  EXPECT_EQ(state(mine, "block1.norm.running_mean")[0].item<float>(), communicator.rank());
}

}  // namespace
}  // namespace lockstep

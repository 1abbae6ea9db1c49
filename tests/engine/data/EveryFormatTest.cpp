// What holds of samples whatever format they come in: the same epoch for any number of ranks and threads, and from any
// step on.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "engine/data/Loader.h"
#include "tests/support/FormatCases.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

/// Varied in every way that its format has.
ProgramSamples open(const fs::path& directory, const FormatCase& format) {
  const std::shared_ptr<const Dataset> dataset =
      Formats::builtin()
          .open(directory,
                {.window = FormatCase::kWindow, .image = {.shape = ImageShape{3, 4, 4}, .crop = ImageCrop::kRandom}})
          .dataset;
  const ProgramSamples samples(dataset, {{.name = "in"}},
                               {.names = {{kTargetColumn, format.target}, {"in", format.input}}});
  const bool pictures = is_picture(dataset->spec().fields[*dataset->spec().find(format.input)]);
  return samples.varied(pictures ? Variation{.seed = 3, .flip = 0.5, .padding = 1, .brightness = 0.3} : Variation());
}

/// The bytes of the steps of an epoch from one on, of all ranks in their order: what a step computes on.
std::vector<std::string> steps_of(const ProgramSamples& samples, int ranks, int threads, LoaderPosition from,
                                  std::int64_t batch) {
  const BatchPlan plan(samples.size(), batch, 2, ranks);
  std::vector<std::vector<std::string>> columns(static_cast<std::size_t>(plan.steps()));  // by step and column
  for (auto& step : columns) step.resize(samples.columns().size());
  for (int rank = 0; rank < ranks; ++rank) {
    Loader loader(samples, Order(7, samples.size(), true), plan, rank, threads, from);
    for (std::int64_t step = from.step; step < plan.steps();) {
      const MicroBatch batch_of_rank = loader.next();
      EXPECT_EQ(batch_of_rank.position.step, step);
      for (std::size_t i = 0; i < batch_of_rank.columns.size(); ++i) {
        columns[static_cast<std::size_t>(step)][i].append(
            reinterpret_cast<const char*>(batch_of_rank.columns[i].get()),
            samples.columns()[i].bytes() * static_cast<std::size_t>(batch_of_rank.size));
      }
      if (batch_of_rank.last_of_step) ++step;
    }
  }
  std::vector<std::string> steps;
  for (const std::vector<std::string>& each : columns) {
    steps.emplace_back();
    for (const std::string& bytes : each) steps.back() += bytes;
  }
  return steps;
}

class EveryFormat : public testing::TestWithParam<FormatCase> {
 protected:
  EveryFormat() { GetParam().write(directory_.path()); }

  TemporaryDirectory directory_;
};

TEST_P(EveryFormat, GivesAnEpochThatRanksAndThreadsDoNotChange) {
  const ProgramSamples samples = open(directory_.path(), GetParam());
  EXPECT_EQ(samples.size(), FormatCases::kSamples);
  const std::vector<std::string> alone = steps_of(samples, 1, 1, {.epoch = 1}, 8);
  EXPECT_EQ(std::set<std::string>(alone.begin(), alone.end()).size(), alone.size());
  EXPECT_NE(steps_of(samples, 1, 1, {.epoch = 2}, 8), alone);
  for (const int ranks : {1, 2, 3, 4}) {
    for (const int threads : {1, 4}) {
      EXPECT_EQ(steps_of(samples, ranks, threads, {.epoch = 1}, 8), alone) << ranks << " ranks, " << threads;
    }
  }
}

// Opened anew each time, as a job that goes on does.
TEST_P(EveryFormat, GoesOnAtAnyStep) {
  std::vector<std::string> undisturbed = steps_of(open(directory_.path(), GetParam()), 2, 2, {.epoch = 1}, 1);
  int ranks = 0;
  for (const std::int64_t step : {1, 50, 99}) {
    const std::vector<std::string> rest =
        steps_of(open(directory_.path(), GetParam()), ++ranks, 2, {.epoch = 1, .step = step}, 1);
    EXPECT_TRUE(std::equal(rest.begin() + step, rest.end(), undisturbed.begin() + step, undisturbed.end())) << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Data, EveryFormat, testing::ValuesIn(FormatCases().all()),
                         [](const auto& info) { return info.param.plain_name(); });

}  // namespace
}  // namespace lockstep

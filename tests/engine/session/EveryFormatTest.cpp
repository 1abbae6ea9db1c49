// Jobs that are stopped three times and go on, on other numbers of ranks: of every format.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "common/File.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/device/CpuDevice.h"
#include "engine/session/TrainingSession.h"
#include "tests/support/EventRecorder.h"
#include "tests/support/FormatCases.h"
#include "tests/support/MpiTest.h"
#include "tests/support/RankAlone.h"
#include "tests/support/SharedDirectory.h"
#include "tests/support/SmallJob.h"

namespace lockstep {
namespace {

/// One sample a step: a sum over ranks then is of zeros but for one of them, and the same bits for any number of ranks.
class ResumedJob {
 public:
  /// `job`: without a place for checkpoints.
  ResumedJob(JobConfig job, SharedDirectory& directory, Communicator& ranks)
      : job_(std::move(job)), directory_(directory), ranks_(ranks) {
    job_.hyperparameters.batch_size = 1;
    job_.hyperparameters.epochs = 1;
    job_.hyperparameters.momentum = 0.9;
    job_.hyperparameters.export_formats = {Export::kSafetensors};
  }

  /// An epoch is `samples` steps. The undisturbed job has one rank; the other stops after 1 %, 50 % and 99 % of them,
  /// on all ranks and on one by turns.
  void expect_undisturbed_bits(int samples) {
    const std::vector<double> undisturbed = run("undisturbed", samples + 1, true);
    EXPECT_EQ(std::ssize(undisturbed), leads() ? samples : 0);
    std::vector<double> losses;
    int done = 0;
    for (const int percent : {1, 50, 99, 100}) {
      const int last = std::max(1, samples * percent / 100);
      const bool alone = percent == 50 || percent == 100;
      const std::vector<double> more = run("stopped", last - done + (percent == 100 ? 1 : 0), alone);
      EXPECT_EQ(std::ssize(more), leads() ? last - done : 0) << percent << " %";
      losses.insert(losses.end(), more.begin(), more.end());
      done = last;
    }
    EXPECT_EQ(losses, undisturbed);
    if (leads()) {
      EXPECT_TRUE(parameters("stopped") == parameters("undisturbed")) << "other parameters";
    }
  }

 private:
  bool leads() const { return ranks_.rank() == 0; }
  std::string parameters(const std::string& name) const {
    return read_file(directory_ / (name + "/model/model.safetensors"), 1 << 24);
  }
  /// Trains up to `steps` more; returns the losses on rank 0.
  std::vector<double> run(const std::string& name, int steps, bool alone) {
    EventRecorder events;
    if (!alone || leads()) {
      RankAlone one;
      Communicator& ranks = alone ? static_cast<Communicator&>(one) : ranks_;
      JobConfig job = job_;
      job.output_dir = directory_ / name;
      job.model_dir = directory_ / (name + "/model");
      job.output_data_dir = directory_ / (name + "/data");
      if (name == "stopped") job.checkpoint_dir = directory_ / "checkpoints";
      CpuDevice device(1);
      // It is asked once before the first step.
      TrainingSession session(job, {.device = device, .communicator = ranks, .host = ranks},
                              {.requested = [asked = -1, steps]() mutable { return ++asked >= steps; }}, events);
      session.prepare();
      session.run();
    }
    ranks_.barrier();
    return events.losses();
  }

  JobConfig job_;
  SharedDirectory& directory_;
  Communicator& ranks_;
};

class SessionOfEveryFormat : public testing::TestWithParam<FormatCase> {
 protected:
  /// A job that trains on what it writes below `name`.
  JobConfig job_of(const FormatCase& format, const std::string& name = "job") {
    JobConfig job = small_job(directory_ / name);
    Hyperparameters& options = job.hyperparameters;
    job.channels["train"] = directory_ / (name + "/train");
    options.precision = Precision::kFp64;
    options.columns = {{"x", format.input}, {kTargetColumn, format.target}};
    if (format.kind == FormatCase::Kind::kImages) {
      options.image_flip = 0.5;
      options.image_padding = 1;
    }
    if (format.kind == FormatCase::Kind::kTokens) {
      options.columns = {};
      options.model = "gpt";
      options.model_length = FormatCase::kWindow;
      options.model_layers = 1;
      options.model_heads = 1;
      options.model_width = 4;
    }
    if (communicator_.rank() == 0) format.write(job.channels["train"]);
    communicator_.barrier();
    return job;
  }

  MpiCommunicator communicator_{mpi_session(), MpiMode::kInline};
  SharedDirectory directory_{communicator_};
};

TEST_P(SessionOfEveryFormat, GoesOnThreeTimesBitForBit) {
  ResumedJob(job_of(GetParam()), directory_, communicator_).expect_undisturbed_bits(FormatCases::kSamples);
}

INSTANTIATE_TEST_SUITE_P(Session, SessionOfEveryFormat, testing::ValuesIn(FormatCases().all()),
                         [](const auto& info) { return info.param.plain_name(); });

class SessionOfOneSample : public SessionOfEveryFormat {};

// Most ranks have none then.
TEST_P(SessionOfOneSample, Trains) {
  JobConfig job = job_of(GetParam());
  job.hyperparameters.epochs = 2;
  job.hyperparameters.export_formats = {};
  EventRecorder events;
  CpuDevice device(1);
  TrainingSession session(job, {.device = device, .communicator = communicator_, .host = communicator_}, {}, events);
  session.prepare();
  session.run();
  if (communicator_.rank() > 0) return;
  ASSERT_EQ(events.steps.size(), 2);
  EXPECT_EQ(events.started.at(0).channels.at(0).samples, 1);
  EXPECT_LE(events.steps[1].loss, events.steps[0].loss);  // 0 where there is one class
}

INSTANTIATE_TEST_SUITE_P(Session, SessionOfOneSample, testing::ValuesIn(FormatCases(1).all()),
                         [](const auto& info) { return info.param.plain_name(); });

class SessionOfAMixture : public SessionOfEveryFormat {};

// Of a format's own samples, each once, and of others' that come again.
TEST_P(SessionOfAMixture, GoesOnThreeTimesBitForBit) {
  JobConfig job = job_of(GetParam());
  job.channels["more"] = directory_ / "more";
  job.hyperparameters.mixture = {{"train", 0.8}, {"more", 0.2}};
  if (communicator_.rank() == 0) {
    std::filesystem::create_directories(job.channels["more"]);
    std::ofstream(job.channels["more"] / "a.csv") << "a,b,label\n7.5,1,2\n-3,2.5,0\n8,4.5,1\n";
  }
  communicator_.barrier();
  ResumedJob(job, directory_, communicator_).expect_undisturbed_bits(126);  // 101 / 0.8
}

INSTANTIATE_TEST_SUITE_P(Session, SessionOfAMixture, testing::Values(FormatCases().all()[0]),
                         [](const auto& info) { return info.param.plain_name(); });

}  // namespace
}  // namespace lockstep

// A sink of events is added in one place: a class that implements EventSink, as this one that writes a table of losses,
// and a line that hands it to the session.
#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>

#include "engine/device/CpuDevice.h"
#include "engine/report/EventSinks.h"
#include "engine/session/TrainingSession.h"
#include "tests/support/RankAlone.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

class LossTable : public EventSink {
 public:
  explicit LossTable(std::ostream& out) : out_(out) {}
  void run_started(const RunStarted& event) override { out_ << "step of " << event.total_steps << ",finite\n"; }
  void step_done(const StepDone& event) override { out_ << event.global_step << "," << (event.loss > 0) << "\n"; }
  void run_ended(const RunEnded& event) override { out_ << "after " << event.steps << "\n"; }

 private:
  std::ostream& out_;
};

TEST(AddedEventSink, IsToldByTheSession) {
  const TemporaryDirectory directory;
  JobConfig job;
  job.output_dir = directory.path();
  job.model_dir = directory / "model";
  job.output_data_dir = directory / "data";
  job.hyperparameters.data = Data::kSynthetic;
  job.hyperparameters.synthetic_samples = 6;
  job.hyperparameters.model = "mlp";
  job.hyperparameters.model_hidden = {4};
  job.hyperparameters.batch_size = 4;
  job.hyperparameters.epochs = 1;
  job.hyperparameters.export_formats = {};
  CpuDevice device(1);
  RankAlone alone;
  std::ostringstream table;
  EventSinks sinks;
  sinks.add(std::make_unique<LossTable>(table));
  TrainingSession session(job, {.device = device, .communicator = alone, .host = alone}, {}, sinks);
  session.prepare();
  session.run();
  EXPECT_EQ(table.str(), "step of 2,finite\n1,1\n2,1\nafter 2\n");
}

}  // namespace
}  // namespace lockstep

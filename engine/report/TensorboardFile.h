// The numbers of a job as TensorBoard reads them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "common/File.h"
#include "engine/report/EventSink.h"
#include "engine/report/ProgressMeter.h"

namespace tensorboard_events {
class Event;
class Hyperparameters;
class Summary;
}  // namespace tensorboard_events

namespace lockstep {

/// A file of events in a directory: scalars (`train/…` and `seconds/…` as progress is shown, `evaluation/…`,
/// `final/…`), the run's facts and notes as text, and its hyperparameters for the dashboard of that name. Each start of
/// a job adds a file; TensorBoard drops of earlier files what a job that goes on does again. Every event is in the file
/// when the function that is told of it returns.
///
/// `run_started` throws InputError when the directory cannot be made; all throw SystemError when the file cannot be
/// written.
class TensorboardFile : public EventSink {
 public:
  /// Progress is written as MetricsFile writes it.
  TensorboardFile(std::filesystem::path directory, double seconds_between_lines);

  void run_started(const RunStarted& event) override;
  void step_done(const StepDone& event) override;
  void evaluated(const Evaluated& event) override;
  void checkpoint_saved(const CheckpointSaved& event) override;
  void note(const Note& event) override;
  void run_ended(const RunEnded& event) override;
  void run_failed(const RunFailed& event) override;

 private:
  void write(tensorboard_events::Event& event);
  void write_scalars(std::int64_t step, const std::string& group, const Metrics& values);
  void write_text(const std::string& tag, const std::string& text);
  void write_hyperparameters(const std::string& tag, const tensorboard_events::Hyperparameters& message);

  std::filesystem::path directory_;
  std::optional<OutputFile> file_;  ///< since the run started
  ProgressMeter meter_;
  StepSeconds since_line_;  ///< of the steps since progress was last written
  std::int64_t steps_since_line_ = 0;
  std::optional<std::int64_t> step_;  ///< the last, since the first of this start
};

}  // namespace lockstep

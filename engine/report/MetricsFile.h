// The numbers of a job as JSON lines, for programs to read.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "common/File.h"
#include "engine/report/EventSink.h"
#include "engine/report/ProgressMeter.h"

namespace lockstep {

/// `metrics.jsonl` in a directory: one JSON object per line, in the order of events. Nothing is touched before the run
/// starts; then the directory is made if it is missing, and the file is started anew. Of a run that goes on from a
/// checkpoint it keeps what the file there says of the same job up to that step: what was done after it is done again.
/// Every line is in the file when the function that is told the event returns. A metric that is a table is an array of
/// its rows, or of the numbers of its only row. The event `progress` has `seconds`, since the first step was done, and
/// `seconds_per_step`: of each phase on rank 0, on the mean of the steps since the line before. `ranks` has the same of
/// each rank, since the line before of its kind. `final` has `step_seconds`: the seconds of each phase on rank 0,
/// summed over the steps. `images` names a picture that is written beside. `run_started` throws InputError when the
/// directory cannot be made; all throw SystemError when the file cannot be written.
class MetricsFile : public EventSink {
 public:
  /// Progress is written every so many seconds, and at least ProgressMeter::kFewestLines times in a job of as many
  /// steps.
  MetricsFile(std::filesystem::path directory, double seconds_between_lines);

  static constexpr const char* kName = "metrics.jsonl";
  static constexpr const char* kPicture = "images.png";

  std::filesystem::path path() const { return directory_ / kName; }

  void run_started(const RunStarted& event) override;
  void images_shown(const ImagesShown& event) override;
  void step_done(const StepDone& event) override;
  void evaluated(const Evaluated& event) override;
  void straggler(const Straggler& event) override;
  void checkpoint_saved(const CheckpointSaved& event) override;
  void run_ended(const RunEnded& event) override;
  /// Does nothing before the run has started.
  void run_failed(const RunFailed& event) override;

 private:
  void open(const RunStarted& event);
  void write(const nlohmann::json& line);

  std::filesystem::path directory_;
  std::optional<OutputFile> file_;  ///< since the run started
  ProgressMeter meter_;
  StepSeconds step_seconds_;  ///< of all steps so far
  std::int64_t steps_ = 0;    ///< so far
  std::chrono::steady_clock::time_point first_step_{};
  StepSeconds since_line_;  ///< of the steps since the last line of progress
  std::int64_t steps_since_line_ = 0;
};

}  // namespace lockstep

// The numbers of a job as JSON lines, for programs to read.
#pragma once

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
/// starts; then the directory is made if it is missing, and the file is started anew. Every line is in the file when
/// the function that is told the event returns. A metric that is a table is an array of its rows, or of the numbers of
/// its only row. The event `final` has `step_seconds`: the seconds of each phase on rank 0, summed over the steps.
/// `run_started` throws InputError when the directory cannot be made; all throw SystemError when the file cannot be
/// written.
class MetricsFile : public EventSink {
 public:
  /// Progress is written after the steps after which a console of the same settings shows it.
  MetricsFile(std::filesystem::path directory, bool terminal, double seconds_between_lines);

  std::filesystem::path path() const { return directory_ / "metrics.jsonl"; }

  void run_started(const RunStarted& event) override;
  void step_done(const StepDone& event) override;
  void evaluated(const Evaluated& event) override;
  void straggler(const Straggler& event) override;
  void checkpoint_saved(const CheckpointSaved& event) override;
  void run_ended(const RunEnded& event) override;

 private:
  void write(const nlohmann::json& line);

  std::filesystem::path directory_;
  std::optional<OutputFile> file_;  ///< since the run started
  ProgressMeter meter_;
  StepSeconds step_seconds_;  ///< of all steps so far
};

}  // namespace lockstep

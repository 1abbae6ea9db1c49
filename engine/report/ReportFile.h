// A run's report, renewed while it goes on.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>

#include "engine/report/EventSink.h"
#include "engine/report/RunHistory.h"

namespace lockstep {

/// `report.html` in a directory, made of the metrics.jsonl there (report_page): at each evaluation and checkpoint,
/// every minute between them, and at the end, so that a run that is killed has one up to then. It is renewed less often
/// where that would take more than a twentieth of the time.
///
/// To be added behind the MetricsFile of the directory. All throw as RunHistory does, and SystemError when the page
/// cannot be written.
class ReportFile : public EventSink {
 public:
  static constexpr const char* kName = "report.html";

  explicit ReportFile(std::filesystem::path directory) : directory_(std::move(directory)) {}

  void run_started(const RunStarted& event) override;
  void step_done(const StepDone& event) override;
  void evaluated(const Evaluated& event) override;
  void checkpoint_saved(const CheckpointSaved& event) override;
  void run_ended(const RunEnded& event) override;
  void run_failed(const RunFailed& event) override;

 private:
  using Clock = std::chrono::steady_clock;

  void renew(Clock::duration least_pause);
  void write();

  std::filesystem::path directory_;
  std::optional<RunHistory> run_;  ///< since it has started
  Clock::time_point written_{};
  Clock::duration took_{};
};

}  // namespace lockstep

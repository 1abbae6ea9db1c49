// Where a run is, for the launcher.
#pragma once

#include <filesystem>

#include "engine/report/EventSink.h"
#include "engine/report/ProgressMeter.h"

namespace lockstep {

/// Tells the launcher of this host the progress of the run about once a second (report_progress), as `lockstep status`
/// shows it. Does nothing without a launcher of ours.
class StatusReport : public EventSink {
 public:
  explicit StatusReport(std::filesystem::path status_file) : file_(std::move(status_file)), meter_(false, 1) {}

  void step_done(const StepDone& event) override;
  void evaluated(const Evaluated& event) override;
  void checkpoint_saved(const CheckpointSaved& event) override;

 private:
  std::filesystem::path file_;
  ProgressMeter meter_;
};

}  // namespace lockstep

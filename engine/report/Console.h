// What the user sees of a job: a header, progress, metric lines and a closing table.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "engine/report/EventSink.h"
#include "engine/report/ProgressMeter.h"

namespace lockstep {

/// Writes text to a stream. On a terminal, progress is a bar that is redrawn: of
/// the whole job, with its steps, loss, samples a second, the share of the time that waits for data, and the time left;
/// elsewhere it is a plain line every few seconds. Metric lines are `name=value` pairs that a regular expression such
/// as `test_accuracy=([0-9.]+)` picks up.
class Console : public EventSink {
 public:
  /// `out` must outlive this. `metrics_file`: the header's last row says where it is.
  Console(std::FILE* out, bool terminal, double seconds_between_lines, std::string metrics_file);

  void run_started(const RunStarted& event) override;
  void step_done(const StepDone& event) override;
  void evaluated(const Evaluated& event) override;
  void checkpoint_saved(const CheckpointSaved& event) override;
  void straggler(const Straggler& event) override;
  void note(const Note& event) override;
  void run_ended(const RunEnded& event) override;
  /// Ends the line of progress: what failed is said on standard error, by whoever ends the process.
  void run_failed(const RunFailed& event) override;

 private:
  void end_line();
  void print_line(const std::string& text);
  void print_rows(const Rows& rows);
  void print_metrics(std::int64_t epoch, std::int64_t global_step, const Metrics& metrics);

  std::FILE* out_;
  bool terminal_;
  std::string metrics_file_;
  ProgressMeter meter_;
  bool line_open_ = false;  ///< the line of progress that is redrawn
};

}  // namespace lockstep

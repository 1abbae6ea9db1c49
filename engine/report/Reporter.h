// What the user sees of a job, on rank 0: a header, progress, metric lines and a closing table; as text and as JSON.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "engine/report/MetricsFile.h"

namespace lockstep {

/// Names and values in the order in which they are shown.
using Rows = std::vector<std::pair<std::string, std::string>>;
using Metrics = std::vector<std::pair<std::string, double>>;

/// Where training stands.
struct Progress {
  std::int64_t epoch = 0;  ///< counted from 1
  std::int64_t epochs = 0;
  std::int64_t step = 0;         ///< within the epoch, counted from 1
  std::int64_t steps = 0;        ///< of an epoch
  std::int64_t total_steps = 0;  ///< of the job
  std::int64_t global_step = 0;  ///< counted from 1
  std::int64_t batch_size = 0;   ///< samples of this step over all ranks
  double loss = 0;               ///< of this step
  double learning_rate = 0;
};

/// Writes to `out` and to metrics.jsonl. On a terminal, progress is one line that is redrawn; elsewhere it is a plain
/// line every few seconds. Metric lines are `name=value` pairs that a regular expression such as
/// `test_accuracy=([0-9.]+)` picks up.
class Reporter {
 public:
  Reporter(std::FILE* out, bool terminal, double seconds_between_lines, MetricsFile metrics);

  void header(const Rows& rows);
  void progress(const Progress& progress);
  /// One metric line and one JSON line. `event` names it: "epoch", "final".
  void metrics(const std::string& event, std::int64_t epoch, std::int64_t global_step, const Metrics& metrics);
  void note(const std::string& text);
  void summary(const Rows& rows);

 private:
  using Clock = std::chrono::steady_clock;

  void end_line();

  std::FILE* out_;
  bool terminal_;
  double seconds_between_lines_;
  MetricsFile metrics_;
  bool line_open_ = false;
  bool paused_ = true;  ///< before the first step, and while evaluating: that time says nothing about training speed
  Clock::time_point last_line_;
  Clock::time_point last_step_;
  std::int64_t samples_since_line_ = 0;
  double timed_seconds_ = 0;
  std::int64_t timed_steps_ = 0;
};

}  // namespace lockstep

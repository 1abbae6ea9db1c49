// Chosen steps of all ranks, span by span, on one clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "common/SpanLog.h"
#include "engine/report/Events.h"
#include "engine/train/OperatorSpans.h"
#include "engine/train/RankContext.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// The hyperparameters `trace_steps` and `trace_operators`. Tell it when each step starts and when it has ended: it
/// turns its log on with the first of the chosen steps, and gathers what all ranks have logged when the last has ended.
/// Whoever measures adds to the log.
///
/// Hosts' clocks are told apart by barriers, which ranks leave at nearly the same time: of several, the median
/// difference to rank 0 counts. Ranks on rank 0's host have its clock.
class StepTrace {
 public:
  /// Keeps what `context` refers to. From here to its end the communicator for the device's memory logs here.
  StepTrace(const Hyperparameters& hyperparameters, const RankContext& context);
  StepTrace(const StepTrace&) = delete;
  StepTrace& operator=(const StepTrace&) = delete;
  ~StepTrace() { context_.communicator.record_in(nullptr); }

  SpanLog& log() { return log_; }
  /// A collective with the first of the chosen steps. Steps are counted from 1.
  void starts(std::int64_t step);
  /// A collective with the last of them, after which it returns what was logged; on rank 0 of all ranks, on others
  /// nothing of theirs.
  std::optional<Traced> ended(std::int64_t step);

 private:
  using Clock = SpanLog::Clock;

  void compare_clocks();
  void end_step();
  Traced gather();

  TraceSteps steps_;
  bool traces_operators_;
  RankContext context_;
  SpanLog log_;
  std::optional<OperatorSpans> operators_{};  ///< while steps are traced
  std::optional<Clock::time_point> begun_{};  ///< the step that is under way; on a GPU until the next starts
  std::int64_t step_ = 0;                     ///< its number
  double offset_ = 0;                         ///< this rank's clock less that of rank 0, seconds
  double origin_ = 0;                         ///< on rank 0's clock, when the first began
};

}  // namespace lockstep

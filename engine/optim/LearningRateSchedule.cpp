#include "engine/optim/LearningRateSchedule.h"

#include <algorithm>
#include <cmath>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/optim/Schedules.h"

namespace lockstep {

namespace {

const ScheduleKind& kind_of(const Hyperparameters& hyperparameters) {
  const std::vector<ScheduleKind>& all = built_in_schedules();
  const auto found = std::ranges::find(all, hyperparameters.schedule, &ScheduleKind::name);
  if (found == all.end()) throw InternalError("unknown schedule " + hyperparameters.schedule);
  return *found;
}

}  // namespace

LearningRateSchedule::LearningRateSchedule(const Hyperparameters& hyperparameters, std::int64_t total_steps)
    : hyperparameters_(hyperparameters), total_steps_(total_steps) {
  const Hyperparameters& h = hyperparameters_;
  kind_of(h);
  if (h.warmup_steps > total_steps) {
    throw InputError("warmup_steps=" + std::to_string(h.warmup_steps) + " is more than the job's " +
                     std::to_string(total_steps) + " steps: the learning rate would never be reached");
  }
  if (h.schedule == "wsd" && h.warmup_steps + h.schedule_decay_steps > total_steps) {
    throw InputError("schedule_decay_steps=" + std::to_string(h.schedule_decay_steps) +
                     " is more than the steps that the job has behind its warm-up, " +
                     std::to_string(total_steps - h.warmup_steps));
  }
  if (h.schedule == "plateau") {
    plateau_.emplace(h.learning_rate, Plateau::Options{.maximize = h.monitor.maximize,
                                                       .factor = h.schedule_gamma,
                                                       .least = h.final_learning_rate,
                                                       .threshold = h.schedule_threshold,
                                                       .patience = h.schedule_patience,
                                                       .cooldown = h.schedule_cooldown});
  }
}

double LearningRateSchedule::learning_rate(std::int64_t step) const {
  const std::int64_t warmup = hyperparameters_.warmup_steps;
  const double base = plateau_ ? plateau_->rate() : hyperparameters_.learning_rate;
  if (step < warmup) return base * static_cast<double>(step + 1) / static_cast<double>(warmup);
  return kind_of(hyperparameters_)
      .rate({.base = base,
             .final = hyperparameters_.final_learning_rate,
             .steps = std::max<std::int64_t>(1, total_steps_ - warmup),
             .hyperparameters = hyperparameters_},
            step - warmup);
}

void LearningRateSchedule::evaluated(double monitored) {
  if (plateau_) plateau_->update(monitored);
}

std::optional<Plateau::State> LearningRateSchedule::state() const {
  return plateau_ ? std::optional(plateau_->state()) : std::nullopt;
}

void LearningRateSchedule::check(const std::optional<Plateau::State>& state) const {
  if (!plateau_) return;
  if (!state) throw InputError("the checkpoint lacks the learning rate that schedule=plateau has come to");
  if (!(std::isfinite(state->rate) && state->rate >= 0)) {
    throw InputError(format("its learning rate is %g", state->rate));
  }
}

void LearningRateSchedule::restore(const std::optional<Plateau::State>& state) {
  if (plateau_ && state) plateau_->set_state(*state);
}

}  // namespace lockstep

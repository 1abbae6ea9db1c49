#include "engine/optim/Schedules.h"

#include <cmath>
#include <numbers>

namespace lockstep {

namespace {

// From `from` to `to` along half a cosine, as far as `share` says.
double along_cosine(double from, double to, double share) {
  return to + (from - to) * (1 + std::cos(std::numbers::pi * share)) / 2;
}

double share_of(const ScheduleTerms& terms, std::int64_t t) {
  return static_cast<double>(t) / static_cast<double>(terms.steps);
}

double one_cycle(const ScheduleTerms& terms, std::int64_t t) {
  const auto last = static_cast<double>(terms.steps - 1);
  const double top = terms.hyperparameters.schedule_pct_start * static_cast<double>(terms.steps) - 1;
  const auto step = static_cast<double>(t);
  if (step <= top && top > 0) {
    return along_cosine(terms.base / terms.hyperparameters.schedule_div_factor, terms.base, step / top);
  }
  return along_cosine(terms.base, terms.final, (step - top) / (last - top));
}

double warmup_stable_decay(const ScheduleTerms& terms, std::int64_t t) {
  const std::int64_t decay = terms.hyperparameters.schedule_decay_steps;
  const std::int64_t decayed = t - (terms.steps - decay);
  if (decayed <= 0) return terms.base;
  return terms.base + (terms.final - terms.base) * static_cast<double>(decayed) / static_cast<double>(decay);
}

}  // namespace

const std::vector<ScheduleKind>& built_in_schedules() {
  using Terms = ScheduleTerms;
  static const std::vector<ScheduleKind> all = {
      {"constant", [](const Terms& terms, std::int64_t) { return terms.base; }},
      {"step",
       [](const Terms& terms, std::int64_t t) {
         const std::int64_t decays = t / terms.hyperparameters.schedule_step_size;
         return terms.base * std::pow(terms.hyperparameters.schedule_gamma, static_cast<double>(decays));
       }},
      {"linear",
       [](const Terms& terms, std::int64_t t) { return terms.base + (terms.final - terms.base) * share_of(terms, t); }},
      {"cosine",
       [](const Terms& terms, std::int64_t t) { return along_cosine(terms.base, terms.final, share_of(terms, t)); }},
      {"polynomial",
       [](const Terms& terms, std::int64_t t) {
         const double rest = std::pow(1 - share_of(terms, t), terms.hyperparameters.schedule_power);
         return terms.final + (terms.base - terms.final) * rest;
       }},
      {"exponential",
       [](const Terms& terms, std::int64_t t) {
         return terms.base * std::pow(terms.hyperparameters.schedule_gamma, static_cast<double>(t));
       }},
      {"one_cycle", one_cycle},
      {"wsd", warmup_stable_decay},
      {"plateau", [](const Terms& terms, std::int64_t) { return terms.base; }},
  };
  return all;
}

}  // namespace lockstep

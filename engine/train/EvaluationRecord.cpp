#include "engine/train/EvaluationRecord.h"

#include <utility>

#include "common/Error.h"

namespace lockstep {

SavedEvaluation saved(const Evaluation& evaluation, std::int64_t step) {
  return {.step = step, .metrics = {evaluation.values().begin(), evaluation.values().end()}};
}

Evaluation evaluation_of(const SavedEvaluation& saved, const Objective& objective) {
  Evaluation::Values values;
  for (const Objective::ChosenMetric& chosen : objective.metrics()) {
    const auto found = saved.metrics.find(chosen.name);
    if (found != saved.metrics.end()) {
      values.emplace_back(*found);
    } else if (chosen.name == "loss" || chosen.asked_by == "monitor") {
      throw InputError("the checkpoint's evaluation lacks the " + chosen.name);
    }
  }
  return Evaluation(std::move(values));
}

}  // namespace lockstep

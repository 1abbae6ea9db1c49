#include "engine/train/EvaluationRecord.h"

#include <utility>

#include "common/Error.h"

namespace lockstep {

SavedEvaluation saved(const Evaluation& evaluation, std::int64_t step) {
  return {.step = step,
          .metrics = {evaluation.values().begin(), evaluation.values().end()},
          .tables = {evaluation.tables().begin(), evaluation.tables().end()}};
}

Evaluation evaluation_of(const SavedEvaluation& saved, const Objective& objective) {
  Evaluation::Values values;
  Evaluation::Tables tables;
  for (const Objective::ChosenMetric& chosen : objective.metrics()) {
    const auto table = saved.tables.find(chosen.name);
    if (table != saved.tables.end()) tables.emplace_back(*table);
    const auto found = saved.metrics.find(chosen.name);
    if (found != saved.metrics.end()) {
      values.emplace_back(*found);
    } else if (chosen.name == "loss" || chosen.asked_by == "monitor") {
      throw InputError("the checkpoint's evaluation lacks the " + chosen.name);
    }
  }
  return Evaluation(std::move(values), /*weightless=*/false, std::move(tables));
}

}  // namespace lockstep

#include "engine/train/EvaluationRecord.h"

#include <optional>

#include "common/Error.h"

namespace lockstep {

SavedEvaluation saved(const Evaluation& evaluation, std::int64_t step) {
  SavedEvaluation saved{.step = step, .metrics = {{"loss", evaluation.loss}}};
  if (evaluation.accuracy) saved.metrics["accuracy"] = *evaluation.accuracy;
  if (evaluation.top5) saved.metrics["top5"] = *evaluation.top5;
  return saved;
}

Evaluation evaluation_of(const SavedEvaluation& saved) {
  const auto metric = [&](const char* name) {
    const auto found = saved.metrics.find(name);
    return found == saved.metrics.end() ? std::nullopt : std::optional(found->second);
  };
  if (!metric("loss")) throw InputError("the checkpoint's evaluation lacks the loss");
  return {.loss = *metric("loss"), .accuracy = metric("accuracy"), .top5 = metric("top5")};
}

}  // namespace lockstep

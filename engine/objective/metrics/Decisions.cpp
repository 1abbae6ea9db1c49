#include "engine/objective/metrics/Decisions.h"

#include <ATen/Functions.h>

namespace lockstep {

std::string unfit_for_decisions(const MeasuredBatch& batch) {
  return batch.class_labels() || batch.binary() ? "" : "needs class labels, or targets of yes or no";
}

bool several_labels(const MeasuredBatch& batch) {
  return batch.binary() && batch.output().dim() == 2 && batch.output().size(1) > 1;
}

Decisions decisions(const MeasuredBatch& batch) {
  if (batch.binary()) {
    return {.predicted = batch.output().gt(0).to(at::kLong).flatten(),
            .truth = batch.targets().ge(0.5).to(at::kLong).flatten(),
            .weights = batch.weights().flatten(),
            .classes = 2};
  }
  const std::int64_t classes = batch.output().size(-1);
  return {.predicted = batch.output().argmax(-1).flatten(),
          .truth = batch.targets().clamp(0, classes - 1).flatten(),  // what is ignored may be anything
          .weights = batch.weights().flatten(),
          .classes = classes};
}

at::Tensor weights_by(const at::Tensor& index, const at::Tensor& weights, std::int64_t count) {
  return at::zeros({count}, weights.options()).index_put_({index}, weights, /*accumulate=*/true);
}

}  // namespace lockstep

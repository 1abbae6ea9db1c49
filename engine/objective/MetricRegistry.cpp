#include "engine/objective/MetricRegistry.h"

#include "engine/objective/MeanAbsoluteError.h"
#include "engine/objective/MeanLoss.h"
#include "engine/objective/TopAccuracy.h"

namespace lockstep {

MetricRegistry built_in_metrics() {
  return MetricRegistry({
      {.name = "loss", .more_is_better = false, .metric = make_mean_loss(), .by_default = true},
      {.name = "accuracy", .more_is_better = true, .metric = make_top_accuracy(1), .by_default = true},
      {.name = "top5", .more_is_better = true, .metric = make_top_accuracy(5), .by_default = true},
      {.name = "perplexity", .more_is_better = false, .metric = make_perplexity()},
      {.name = "mean_absolute_error", .more_is_better = false, .metric = make_mean_absolute_error()},
  });
}

}  // namespace lockstep

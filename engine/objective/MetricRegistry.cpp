#include "engine/objective/MetricRegistry.h"

#include <utility>

#include "engine/objective/metrics/BinaryAccuracy.h"
#include "engine/objective/metrics/ClassScores.h"
#include "engine/objective/metrics/ConfusionMatrix.h"
#include "engine/objective/metrics/LogLoss.h"
#include "engine/objective/metrics/MeanAbsoluteError.h"
#include "engine/objective/metrics/MeanLoss.h"
#include "engine/objective/metrics/RSquared.h"
#include "engine/objective/metrics/RankingScores.h"
#include "engine/objective/metrics/SquaredErrors.h"
#include "engine/objective/metrics/TopAccuracy.h"

namespace lockstep {

MetricRegistry built_in_metrics() {
  MetricRegistry metrics({
      {.name = "loss", .more_is_better = false, .metric = make_mean_loss(), .by_default = true},
      {.name = "accuracy", .more_is_better = true, .metric = make_top_accuracy(1), .by_default = true},
      {.name = "top5", .more_is_better = true, .metric = make_top_accuracy(5), .by_default = true},
      {.name = "binary_accuracy", .more_is_better = true, .metric = make_binary_accuracy(), .by_default = true},
      {.name = "perplexity", .more_is_better = false, .metric = make_perplexity()},
      {.name = "log_loss", .more_is_better = false, .metric = make_log_loss()},
      {.name = "roc_auc", .more_is_better = true, .metric = make_roc_auc()},
      {.name = "average_precision", .more_is_better = true, .metric = make_average_precision()},
      {.name = "confusion_matrix", .more_is_better = true, .metric = make_confusion_matrix()},
      {.name = "mean_absolute_error", .more_is_better = false, .metric = make_mean_absolute_error()},
      {.name = "mse", .more_is_better = false, .metric = make_mse()},
      {.name = "rmse", .more_is_better = false, .metric = make_rmse()},
      {.name = "r2", .more_is_better = true, .metric = make_r_squared()},
  });
  const std::pair<const char*, ClassScore> scores[] = {{"precision", ClassScore::kPrecision},
                                                       {"recall", ClassScore::kRecall},
                                                       {"f1", ClassScore::kF1},
                                                       {"iou", ClassScore::kIou},
                                                       {"dice", ClassScore::kF1}};
  const std::pair<const char*, ClassAverage> averages[] = {{"", ClassAverage::kBinary},
                                                           {"_micro", ClassAverage::kMicro},
                                                           {"_macro", ClassAverage::kMacro},
                                                           {"_per_class", ClassAverage::kPerClass}};
  for (const auto& [name, score] : scores) {
    for (const auto& [suffix, average] : averages) {
      metrics.add(
          {.name = std::string(name) + suffix, .more_is_better = true, .metric = make_class_score(score, average)});
    }
  }
  return metrics;
}

}  // namespace lockstep

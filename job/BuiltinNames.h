// What is built into the engine, by name: for help, which links no engine.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

/// The names of built_in_losses() and built_in_metrics() of the engine, in their order; a test compares them. More may
/// be registered, so they decide nothing.
inline std::vector<std::string> builtin_loss_names() {
  return {"cross_entropy",
          "mse",
          "mae",
          "huber",
          "binary_cross_entropy",
          "next_token",
          "gaussian_nll",
          "poisson_nll",
          "cosine_embedding",
          "info_nce",
          "symmetric_info_nce",
          "program"};
}
inline std::vector<std::string> builtin_metric_names() {
  return {"loss",
          "accuracy",
          "top5",
          "binary_accuracy",
          "perplexity",
          "log_loss",
          "roc_auc",
          "average_precision",
          "confusion_matrix",
          "mean_absolute_error",
          "mse",
          "rmse",
          "r2",
          "precision",
          "precision_micro",
          "precision_macro",
          "precision_per_class",
          "recall",
          "recall_micro",
          "recall_macro",
          "recall_per_class",
          "f1",
          "f1_micro",
          "f1_macro",
          "f1_per_class",
          "iou",
          "iou_micro",
          "iou_macro",
          "iou_per_class",
          "dice",
          "dice_micro",
          "dice_macro",
          "dice_per_class"};
}

}  // namespace lockstep

// What is built into the engine, by name: for help, which links no engine.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

/// The names of built_in_losses() and built_in_metrics() of the engine, in their order; a test compares them. More may
/// be registered, so they decide nothing.
inline std::vector<std::string> builtin_loss_names() { return {"cross_entropy", "mse"}; }
inline std::vector<std::string> builtin_metric_names() {
  return {"loss", "accuracy", "top5", "perplexity", "mean_absolute_error"};
}

}  // namespace lockstep

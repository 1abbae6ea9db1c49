// The metrics that the hyperparameters `monitor` and `metrics` may name.
#pragma once

#include <memory>
#include <string>

#include "engine/objective/Metric.h"
#include "engine/objective/Registry.h"

namespace lockstep {

/// A row.
struct MetricKind {
  std::string name;
  bool more_is_better;
  std::shared_ptr<const Metric> metric;
  bool by_default = false;  ///< measured wherever it fits, asked for or not
};

using MetricRegistry = Registry<MetricKind>;

/// Those of builtin_metric_names(), with their files in engine/objective/metrics.
MetricRegistry built_in_metrics();

}  // namespace lockstep

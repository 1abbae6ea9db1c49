// What training minimizes, and what evaluation counts.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/objective/LossRegistry.h"
#include "engine/objective/MetricRegistry.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// The loss and the metrics of a job. A value: copies share both.
class Objective {
 public:
  struct ChosenMetric {
    std::string name;
    std::shared_ptr<const Metric> metric;
    bool more_is_better;
    std::string asked_by{};  ///< the hyperparameter that names it; "": measured where it fits, else left out
  };

  Objective(std::shared_ptr<const Loss> loss, std::vector<ChosenMetric> metrics)
      : loss_(std::move(loss)), metrics_(std::move(metrics)) {}

  const Loss& loss() const { return *loss_; }
  /// In the order in which they are shown.
  const std::vector<ChosenMetric>& metrics() const { return metrics_; }
  /// What metrics that keep rows (Metric::keeps_rows) may have in the memory of each rank: 512 MiB.
  static constexpr std::int64_t kMostRowNumbers = std::int64_t{1} << 26;

  /// Throws InputError when a metric that was asked for cannot be measured of a data set of so many samples, of
  /// which `batch` has some.
  void require_measurable(const MeasuredBatch& batch, std::int64_t samples) const;
  /// What is odd about choosing the best state by `monitor`: that it looks for the worst; "" when nothing is.
  std::string doubt(const Monitor& monitor) const;

 private:
  std::shared_ptr<const Loss> loss_;
  std::vector<ChosenMetric> metrics_;
};

/// The loss and the metrics that the hyperparameters name, for outputs on `device`: those that are measured by default,
/// those of `metrics`, and that of `monitor`. Throws InputError for a name that is not registered, for a table as what
/// is monitored, and for a hyperparameter that has another value than its default and is for other losses than this.
Objective make_objective(const Hyperparameters& options, const c10::Device& device,
                         const LossRegistry& losses = built_in_losses(),
                         const MetricRegistry& metrics = built_in_metrics());

}  // namespace lockstep

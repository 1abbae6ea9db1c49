// What training minimizes, and what evaluation counts.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/objective/LossRegistry.h"
#include "engine/objective/MeasuredBatch.h"
#include "engine/objective/MetricRegistry.h"
#include "engine/objective/SeenOutputs.h"
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

  /// `output`: the hyperparameter of that name.
  Objective(std::shared_ptr<const Loss> loss, std::vector<ChosenMetric> metrics, std::string output = "")
      : loss_(std::move(loss)), metrics_(std::move(metrics)), output_(std::move(output)) {}

  /// Chooses among the outputs of these names (see_outputs); without this, the first is seen.
  void see(const std::vector<std::string>& outputs);
  const SeenOutputs& seen() const { return seen_; }

  const Loss& loss() const { return *loss_; }
  /// In the order in which they are shown.
  const std::vector<ChosenMetric>& metrics() const { return metrics_; }
  /// What training needs of a batch.
  struct BatchLoss {
    LossTerms terms;
    double weight_of_sample;  ///< that is expected
  };
  /// Of all that the program returned for `samples` samples. Throws as Loss::terms does.
  BatchLoss loss_of(const std::vector<at::Tensor>& outputs, const at::Tensor& targets, const at::Tensor& sample_weights,
                    std::int64_t samples) const;
  /// The same as metrics see it, too.
  MeasuredBatch measure(const std::vector<at::Tensor>& outputs, const at::Tensor& targets,
                        const at::Tensor& sample_weights, std::int64_t samples) const;
  /// What a program's own weight comes to for one position, about; else 1. The same on all ranks. Training scales
  /// backward by it, so that half precision keeps its range; a power of two, which changes no other bit, is made of it.
  void expect_weight(double of_position);
  /// Why a metric cannot be measured of such a batch; "" when it can.
  std::string unfit(const Metric& metric, const MeasuredBatch& batch) const;
  /// What metrics that keep rows (Metric::keeps_rows) may have in the memory of each rank: 512 MiB.
  static constexpr std::int64_t kMostRowNumbers = std::int64_t{1} << 26;

  /// Throws InputError when a metric that was asked for cannot be measured of a data set of so many samples, of
  /// which `batch` has some.
  void require_measurable(const MeasuredBatch& batch, std::int64_t samples) const;
  /// What is odd about choosing the best state by `monitor`: that it looks for the worst; "" when nothing is.
  std::string doubt(const Monitor& monitor) const;

 private:
  /// What Loss::terms takes.
  struct Seen {
    at::Tensor output;
    at::Tensor targets{};
    at::Tensor weights{};
  };
  Seen seen_of(const std::vector<at::Tensor>& outputs, const at::Tensor& targets, const at::Tensor& sample_weights,
               std::int64_t samples) const;

  std::shared_ptr<const Loss> loss_;
  std::vector<ChosenMetric> metrics_;
  std::string output_;
  SeenOutputs seen_{};
  double weight_of_position_ = 1;
};

/// The loss and the metrics that the hyperparameters name, for outputs on `device`: those that are measured by default,
/// those of `metrics`, and that of `monitor`. Throws InputError for a name that is not registered, for a table as what
/// is monitored, and for a hyperparameter that has another value than its default and is for other losses than this.
Objective make_objective(const Hyperparameters& options, const c10::Device& device,
                         const LossRegistry& losses = built_in_losses(),
                         const MetricRegistry& metrics = built_in_metrics());

}  // namespace lockstep

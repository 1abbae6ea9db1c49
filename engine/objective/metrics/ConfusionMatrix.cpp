#include "engine/objective/metrics/ConfusionMatrix.h"

#include <ATen/Functions.h>

#include "engine/objective/metrics/Decisions.h"

namespace lockstep {

namespace {

constexpr std::int64_t kMostConfused = 1024;

class ConfusionMatrix : public Metric {
 public:
  std::string unfit(const MeasuredBatch& batch) const override {
    const std::string reason = unfit_for_decisions(batch);
    if (!reason.empty()) return reason;
    if (several_labels(batch)) return "needs one class for each position, not several answers of yes or no";
    if (batch.binary() || batch.output().size(-1) <= kMostConfused) return "";
    return "needs at most " + std::to_string(kMostConfused) + " classes, not " +
           std::to_string(batch.output().size(-1));
  }
  at::Tensor counts(const MeasuredBatch& batch) const override {
    const Decisions made = decisions(batch);
    const at::Tensor cell = made.truth.mul(made.classes).add(made.predicted);
    return weights_by(cell, made.weights, made.classes * made.classes).view({made.classes, made.classes});
  }
  bool table() const override { return true; }
  Measurement result(const at::Tensor& counts, double /*weight*/) const override {
    Table rows;
    for (const at::Tensor& row : counts.unbind()) {
      const auto* cells = row.const_data_ptr<double>();
      rows.emplace_back(cells, cells + row.numel());
    }
    return {.table = std::move(rows)};
  }
};

}  // namespace

std::shared_ptr<const Metric> make_confusion_matrix() { return std::make_shared<ConfusionMatrix>(); }

}  // namespace lockstep

// A loss and a metric that nothing else knows of.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <memory>

#include "engine/device/CpuDevice.h"
#include "engine/train/ParameterStorage.h"
#include "tests/support/RankAlone.h"
#include "tests/support/TrainingJob.h"

namespace lockstep {
namespace {

/// torch.nn.HuberLoss with delta 1.
class AddedHuber : public Loss {
 public:
  bool class_labels() const override { return false; }
  std::int64_t positions(const at::Tensor& output) const override { return output.numel() / output.size(0); }
  LossTerms terms(const at::Tensor& output, const at::Tensor& targets, const at::Tensor&) const override {
    return {.sum = at::huber_loss(output, targets, at::Reduction::Sum)};
  }
};

/// √ of the mean squared error ÷ the targets' root mean square: of two sums.
class RelativeError : public Metric {
 public:
  std::string unfit(const MeasuredBatch& batch) const override {
    return batch.class_labels() ? "needs real numbers" : "";
  }
  at::Tensor counts(const MeasuredBatch& batch) const override {
    return counts_of({batch.weighted_sum((batch.output() - batch.targets()).square()),
                      batch.weighted_sum(batch.targets().square())});
  }
  Measurement result(const at::Tensor& counts, double) const override {
    return {.value = std::sqrt(counts[0][0].div(counts[0][1]).item<double>())};
  }
};

TEST(Additions, ALossAndAMetricNeedNoMoreThanARegistration) {
  LossRegistry losses = built_in_losses();
  losses.add({.name = "added",
              .make = [](const Hyperparameters&, const c10::Device&) { return std::make_shared<AddedHuber>(); }});
  MetricRegistry metrics = built_in_metrics();
  metrics.add({.name = "relative_error", .more_is_better = false, .metric = std::make_shared<RelativeError>()});

  const Waves samples(21, {.input = {1, 4, 4}, .class_labels = false, .target = {3}}, [](std::int64_t sample) {
    const auto number = static_cast<double>(sample);
    return std::vector<double>{number / 5, std::cos(number), 1};
  });
  const Hyperparameters options = {.batch_size = 21,
                                   .micro_batch_size = 6,
                                   .eval_batch_size = 4,
                                   .loss = "added",
                                   .learning_rate = 0.1,
                                   .momentum = 0,
                                   .monitor = {.metric = "relative_error"},
                                   .precision = Precision::kFp64};
  CpuDevice device(1);
  RankAlone alone;
  TrainingJob job({.dataset = samples, .device = device, .communicator = alone, .outputs = 3}, options,
                  make_objective(options, device.place(), losses, metrics));

  std::vector<std::int64_t> all(21);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
  const at::Tensor inputs = at::empty({21, 1, 4, 4}, at::kDouble);
  const at::Tensor targets = at::empty({21, 3}, at::kDouble);
  samples.read(all, std::vector{static_cast<std::byte*>(inputs.mutable_data_ptr()),
                                static_cast<std::byte*>(targets.mutable_data_ptr())});
  const Program program = job.inference_program();
  Executor executor(program);
  for (int step = 0; step < 3; ++step) {
    const at::Tensor output = executor.run({inputs}).at(0);
    const double loss = at::huber_loss(output, targets).item<double>();
    const Evaluation before = job.evaluate(samples).value();
    EXPECT_NEAR(before.metric("loss"), loss, 1e-14);
    EXPECT_NEAR(before.metric("relative_error"), ((output - targets).norm() / targets.norm()).item<double>(), 1e-14);
    EXPECT_EQ(before.values().size(), 2);
    const std::vector<at::Tensor> parameters = trained_tensors(program);
    const auto gradients = torch::autograd::grad({at::huber_loss(output, targets)}, parameters);
    std::vector<at::Tensor> wanted;
    for (std::size_t i = 0; i < gradients.size(); ++i) wanted.push_back((parameters[i] - 0.1 * gradients[i]).detach());
    EXPECT_NEAR(job.step().loss, loss, 1e-14);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_LT((parameters[i] - wanted[i]).abs().max().item<double>(), 1e-14);
    }
  }
}

}  // namespace
}  // namespace lockstep

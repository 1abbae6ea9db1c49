#include "engine/train/Evaluator.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>

#include "engine/collectives/MpiCommunicator.h"
#include "engine/device/CpuDevice.h"
#include "engine/train/TrainingPlan.h"
#include "tests/support/LateDevice.h"
#include "tests/support/MpiTest.h"
#include "tests/support/TestGraph.h"
#include "tests/support/TrainingJob.h"

namespace lockstep {
namespace {

constexpr std::int64_t kClasses = 6;
constexpr double kExact = 1e-13;  // sums of some hundred numbers of the order of 1

Waves labelled(std::int64_t size, std::int64_t classes = kClasses) {
  return Waves(size, {.input = {1, 4, 4}, .class_labels = true, .target = {}, .classes = classes},
               [classes](std::int64_t sample) -> std::vector<double> {
                 return {static_cast<double>(sample * sample % classes)};
               });
}

Hyperparameters options() { return {.batch_size = 8, .eval_batch_size = 7, .precision = Precision::kFp64}; }

// By default a program of large values is evaluated on as many samples as it is trained on at once.
TEST(EvalBatchSize, FollowsFromWhatForwardTakes) {
  const auto program = [](std::int64_t width) {
    return TestGraph()
        .input("x", {1, width})
        .node("relu.default", {TestGraph::tensor("self", "x")}, "y", {1, width})
        .returns({"y"});
  };
  EXPECT_EQ(eval_batch_size({.batch_size = 8}, 2, program(16)), 256);
  EXPECT_EQ(eval_batch_size({.batch_size = 8}, 2, program(1 << 20)), 16);  // of 4 MiB each
  EXPECT_EQ(eval_batch_size({.batch_size = 8}, 2, program(1 << 28)), 4);
  EXPECT_EQ(eval_batch_size({.batch_size = 800, .micro_batch_size = 300}, 2, program(16)), 300);
  EXPECT_EQ(eval_batch_size({.batch_size = 8, .eval_batch_size = 99}, 2, program(1 << 28)), 99);
}

/// Each check on a CPU, and in either order of the streams on a device that executes late.
class EvaluatorTest : public testing::Test {
 protected:
  void on_each_device(const std::function<void(Device&)>& check) {
    CpuDevice cpu(1);
    check(cpu);
    for (const LateDevice::Eager eager : {LateDevice::Eager::kCopy, LateDevice::Eager::kCompute}) {
      LateDevice late(eager);
      SCOPED_TRACE(eager == LateDevice::Eager::kCopy ? "late, eager copies" : "late, eager computing");
      check(late);
    }
  }
  TrainingJob job(const Dataset& dataset, Device& device, const Hyperparameters& given,
                  std::int64_t outputs = kClasses) {
    return TrainingJob({.dataset = dataset, .device = device, .communicator = ranks_, .outputs = outputs}, given,
                       make_objective(given, device.place()));
  }
  /// What the program returns for the whole data set at once, and the targets.
  static std::pair<at::Tensor, at::Tensor> whole(TrainingJob& job, const Dataset& dataset) {
    std::vector<std::int64_t> all(static_cast<std::size_t>(dataset.size()));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
    const Field& target = dataset.spec().fields[1];
    const at::Tensor inputs = at::empty({dataset.size(), 1, 4, 4}, at::kDouble);
    const at::Tensor targets = target.type == ElementType::kInt64
                                   ? at::empty({dataset.size()}, at::kLong)
                                   : at::empty({dataset.size(), target.sizes[0]}, at::kDouble);
    dataset.read(all, std::vector{static_cast<std::byte*>(inputs.mutable_data_ptr()),
                                  static_cast<std::byte*>(targets.mutable_data_ptr())});
    Executor executor(job.inference_program().on(c10::Device(c10::kCPU)));
    return {executor.run({inputs}).at(0).detach(), targets};
  }

  MpiCommunicator ranks_{mpi_session(), MpiMode::kInline};
};

double share(const at::Tensor& hits) { return hits.to(at::kDouble).mean().item<double>(); }

// 101 samples in batches of 7 on each rank: the last leaves some with fewer, or with none.
TEST_F(EvaluatorTest, CountsEachSampleOnce) {
  on_each_device([&](Device& device) {
    for (const std::int64_t size : {101, 2}) {
      const Waves samples = labelled(size);
      TrainingJob some = job(samples, device, options());
      const auto [output, labels] = whole(some, samples);
      const Evaluation found = some.evaluate(samples).value();
      ASSERT_EQ(found.values().size(), 3);
      EXPECT_EQ(found.values()[0].first, "loss");
      EXPECT_EQ(found.values()[1].first, "accuracy");
      EXPECT_EQ(found.values()[2].first, "top5");
      EXPECT_NEAR(found.metric("loss"), at::cross_entropy_loss(output, labels).item<double>(), kExact);
      EXPECT_DOUBLE_EQ(found.metric("accuracy"), share(output.argmax(-1).eq(labels)));
      EXPECT_DOUBLE_EQ(found.metric("top5"), share(std::get<1>(output.topk(5, -1)).eq(labels.unsqueeze(-1)).any(-1)));
    }
  });
}

TEST_F(EvaluatorTest, LeavesOutWhatDoesNotCount) {
  on_each_device([&](Device& device) {
    const Waves samples = labelled(101);
    Hyperparameters given = options();
    given.ignore_index = 1;  // a third of the labels
    given.class_weights = {1, 1, 0.25, 3, 2, 0};
    given.metrics = {"perplexity"};
    TrainingJob some = job(samples, device, given);
    const auto [output, labels] = whole(some, samples);
    const at::Tensor classes = at::tensor(given.class_weights, at::kDouble);
    const at::Tensor weights = classes.index_select(0, labels).mul(labels.ne(1));
    const double loss = at::cross_entropy_loss(output, labels, classes, at::Reduction::Mean, 1).item<double>();
    const Evaluation found = some.evaluate(samples).value();
    EXPECT_NEAR(found.metric("loss"), loss, kExact);
    EXPECT_NEAR(found.metric("perplexity"), std::exp(loss), 10 * kExact);
    EXPECT_DOUBLE_EQ(found.metric("accuracy"),
                     output.argmax(-1).eq(labels).mul(weights).sum().div(weights.sum()).item<double>());
  });
}

TEST_F(EvaluatorTest, MeasuresWhatFits) {
  on_each_device([&](Device& device) {
    const Waves few = labelled(10, 4);
    TrainingJob four = job(few, device, options(), 4);
    const Evaluation found = four.evaluate(few).value();
    ASSERT_EQ(found.values().size(), 2);
    EXPECT_EQ(found.values()[1].first, "accuracy");
    const Waves numbers(31, {.input = {1, 4, 4}, .class_labels = false, .target = {2}}, [](std::int64_t sample) {
      return std::vector<double>{static_cast<double>(sample) / 31, 1};
    });
    Hyperparameters given = options();
    given.loss = "mse";
    given.metrics = {"mean_absolute_error"};
    TrainingJob real = job(numbers, device, given, 2);
    const auto [output, targets] = whole(real, numbers);
    const Evaluation errors = real.evaluate(numbers).value();
    ASSERT_EQ(errors.values().size(), 2);
    EXPECT_NEAR(errors.metric("loss"), at::mse_loss(output, targets).item<double>(), kExact);
    EXPECT_NEAR(errors.metric("mean_absolute_error"), (output - targets).abs().mean().item<double>(), kExact);
  });
}

// Rows, tables and moments of all ranks, also where the last have no sample.
TEST_F(EvaluatorTest, GathersWhatMetricsKeep) {
  on_each_device([&](Device& device) {
    for (const std::int64_t size : {101, 2}) {
      const Waves samples = labelled(size);
      Hyperparameters given = options();
      given.metrics = {"average_precision", "confusion_matrix", "f1_macro"};
      TrainingJob some = job(samples, device, given);
      const auto [output, labels] = whole(some, samples);
      const Objective objective = make_objective(given, c10::Device(c10::kCPU));
      const MeasuredBatch all(objective.loss(), output, labels, {});
      const Evaluation found = some.evaluate(samples).value();
      for (const Objective::ChosenMetric& chosen : objective.metrics()) {
        if (chosen.asked_by.empty()) continue;
        const Measurement wanted = chosen.metric->result(chosen.metric->counts(all), static_cast<double>(size));
        if (chosen.metric->table()) {
          EXPECT_EQ(found.tables().at(0), std::pair(chosen.name, wanted.table));
        } else {
          EXPECT_NEAR(found.metric(chosen.name), wanted.value, kExact) << chosen.name;
        }
      }
      ASSERT_EQ(found.notes().size(), 1);  // no square leaves 2 or 5
      EXPECT_EQ(found.notes()[0].first, "average_precision");
    }
    const Waves numbers(31, {.input = {1, 4, 4}, .class_labels = false, .target = {2}}, [](std::int64_t sample) {
      return std::vector<double>{static_cast<double>(sample) / 31, std::sin(static_cast<double>(sample))};
    });
    Hyperparameters given = options();
    given.loss = "mse";
    given.metrics = {"r2"};
    TrainingJob real = job(numbers, device, given, 2);
    const auto [output, targets] = whole(real, numbers);
    const at::Tensor spread = (targets - targets.mean(0)).square().sum(0);
    EXPECT_NEAR(real.evaluate(numbers).value().metric("r2"),
                (1 - (output - targets).square().sum(0) / spread).mean().item<double>(), kExact);
  });
}

TEST_F(EvaluatorTest, IsNotANumberWhereNothingCounts) {
  on_each_device([&](Device& device) {
    const Waves ignored(5, {.input = {1, 4, 4}, .class_labels = true, .target = {}, .classes = kClasses},
                        [](std::int64_t) { return std::vector<double>{-100}; });
    TrainingJob some = job(ignored, device, options());
    const Evaluation found = some.evaluate(ignored).value();
    EXPECT_TRUE(found.weightless());
    EXPECT_TRUE(std::isnan(found.metric("loss")));
    EXPECT_TRUE(std::isnan(found.metric("accuracy")));
  });
}

// Whichever rank is asked to stop: no rank has a result, and the next evaluation is whole again.
TEST_F(EvaluatorTest, StopsOnAllRanksWhenOneIsAskedTo) {
  on_each_device([&](Device& device) {
    const Waves samples = labelled(101);
    TrainingJob some = job(samples, device, options());
    const bool asked = ranks_.rank() == ranks_.size() - 1;
    int batches = 0;
    EXPECT_FALSE(some.evaluate(samples, [&] { return asked && ++batches == 3; }).has_value());
    EXPECT_TRUE(some.evaluate(samples).has_value());
  });
}

}  // namespace
}  // namespace lockstep

// A small job over whatever data, loss and metrics a test has.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "engine/train/Evaluator.h"
#include "engine/train/ParameterStorage.h"
#include "engine/train/TrainingStep.h"

namespace lockstep {

/// Samples of float64 or float32 that a function gives targets to. Input pixel p of sample i is sin(16 i + p).
class Waves : public Dataset {
 public:
  /// `target`: what sample i's targets are, `shape.target_numbers()` of them.
  Waves(std::int64_t size, SampleShape shape, std::function<std::vector<double>(std::int64_t)> targets)
      : size_(size), shape_(std::move(shape)), targets_(std::move(targets)) {}

  std::int64_t size() const override { return size_; }
  const SampleShape& shape() const override { return shape_; }
  std::string digest() const override { return "waves"; }
  void require_classes(std::int64_t, const std::string&) const override {}
  void read(std::span<const std::int64_t> samples, Precision precision, void* inputs, void* targets) const override {
    precision == Precision::kFp64 ? write<double>(samples, inputs, targets) : write<float>(samples, inputs, targets);
  }

 private:
  template <typename Real>
  void write(std::span<const std::int64_t> samples, void* inputs, void* targets) const {
    auto* pixels = static_cast<Real*>(inputs);
    std::size_t next = 0;
    for (const std::int64_t sample : samples) {
      for (std::int64_t pixel = 0; pixel < shape_.input_numbers(); ++pixel) {
        *pixels++ = static_cast<Real>(std::sin(static_cast<double>(16 * sample + pixel)));
      }
      for (const double target : targets_(sample)) {
        if (shape_.class_labels) {
          static_cast<std::int64_t*>(targets)[next++] = static_cast<std::int64_t>(target);
        } else {
          static_cast<Real*>(targets)[next++] = static_cast<Real>(target);
        }
      }
    }
  }

  std::int64_t size_;
  SampleShape shape_;
  std::function<std::vector<double>(std::int64_t)> targets_;
};

/// What of a job is not a hyperparameter.
struct TrainingJobParts {
  const Dataset& dataset;
  Device& device;
  Communicator& communicator;
  std::int64_t outputs = 0;  ///< of the program for each sample
};

/// A small mlp that is trained on a data set in its own order. Steps, batches, precision, optimizer and clipping are
/// the hyperparameters'.
class TrainingJob {
 public:
  TrainingJob(const TrainingJobParts& parts, const Hyperparameters& options, const Objective& objective,
              std::optional<LossScale> loss_scale = std::nullopt)
      : options_(options),
        plan_(parts.dataset.size(), options.batch_size, options.micro_batch_size, parts.communicator.size()),
        parts_(parts),
        program_(build_builtin_program("mlp", {.input_shape = parts.dataset.shape().input,
                                               .classes = parts.outputs,
                                               .channels = {},
                                               .hidden = {8},
                                               .dropout = 0})
                     .to(options.precision == Precision::kFp64 ? at::kDouble : at::kFloat)
                     .on(parts.device.place())),
        executor_(program_),
        parameters_(make_bucket_plan(options, program_), tensors(), kRiders),
        reducer_(parameters_, parts.communicator, parts.communicator),
        optimizer_(make_optimizer(options, parameters_)),
        step_(parts.device, executor_, objective, parameters_, reducer_, *optimizer_, parts.communicator,
              parts.communicator,
              {.precision = options.precision,
               .clip_norm = options.clip_norm,
               .loss_scale = loss_scale,
               .capture = parts.device.asynchronous()}),
        evaluator_(parts.device, program_.with_graph(eval_form(program_.graph())), objective, options.precision,
                   options.eval_batch_size, 1, parts.communicator, parts.communicator),
        loader_(parts.dataset, Order(0, parts.dataset.size(), false), plan_, parts.communicator.rank(),
                options.precision, 1, {}, 2, Prefetcher::buffers_for(parts.device)),
        inputs_(loader_, parts.dataset.shape(), options.precision, parts.device, parts.communicator) {}

  TrainingStep::Result step() {
    const std::int64_t batch_size = plan_.batch(next_ % plan_.steps()).size();
    step_.start(inputs_, {.batch_size = batch_size,
                          .global_step = next_++,
                          .learning_rate = options_.learning_rate,
                          .full = batch_size == options_.batch_size && options_.micro_batch_size == 0 &&
                                  batch_size % parts_.communicator.size() == 0});
    return step_.finish();
  }
  std::optional<Evaluation> evaluate(
      const Dataset& dataset, const StopRequested& stop = [] { return false; }) {
    std::optional<Evaluation> evaluation;
    step_.beside([&] { evaluation = evaluator_.evaluate(dataset, stop); });
    return evaluation;
  }
  at::Tensor parameters() { return parameters_.flat_parameters().cpu(); }
  std::int64_t updates() const { return optimizer_->steps().at(0); }
  const TrainingStep& steps() const { return step_; }
  /// The program as evaluations run it.
  Program inference_program() const { return program_.with_graph(eval_form(program_.graph())); }

 private:
  std::vector<at::Tensor> tensors() const {
    std::vector<at::Tensor> tensors;
    for (const StateTensor& entry : program_.trained_parameters()) tensors.push_back(entry.tensor);
    return tensors;
  }

  Hyperparameters options_;
  BatchPlan plan_;
  TrainingJobParts parts_;
  Program program_;
  Executor executor_;
  FlatParameters parameters_;
  GradientReducer reducer_;
  std::unique_ptr<Optimizer> optimizer_;
  TrainingStep step_;
  Evaluator evaluator_;
  Loader loader_;
  Prefetcher inputs_;
  std::int64_t next_ = 0;
};

}  // namespace lockstep

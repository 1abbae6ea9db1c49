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
#include "tests/support/PlainSamples.h"

namespace lockstep {

/// What samples of Waves look like.
struct WaveShape {
  std::vector<std::int64_t> input;
  bool class_labels = true;            ///< targets are class numbers; else they are real numbers
  std::vector<std::int64_t> target{};  ///< of one sample
  std::int64_t classes = 0;
};

/// Samples that a function gives targets to. Input pixel p of sample i is sin(16 i + p).
class Waves : public Dataset {
 public:
  /// `targets`: what sample i's targets are, as many as `shape.target` says.
  Waves(std::int64_t size, const WaveShape& shape, std::function<std::vector<double>(std::int64_t)> targets)
      : size_(size), targets_(std::move(targets)) {
    spec_.fields = {{.name = "x", .type = ElementType::kDouble, .sizes = shape.input},
                    {.name = "targets",
                     .type = shape.class_labels ? ElementType::kInt64 : ElementType::kDouble,
                     .sizes = shape.target,
                     .bound = shape.class_labels ? shape.classes : 0}};
  }

  std::int64_t size() const override { return size_; }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return "waves"; }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    auto* pixels = reinterpret_cast<double*>(fields[0]);
    std::size_t next = 0;
    for (const std::int64_t sample : samples) {
      for (std::int64_t pixel = 0; pixels != nullptr && pixel < spec_.fields[0].numbers(); ++pixel) {
        *pixels++ = std::sin(static_cast<double>(16 * sample + pixel));
      }
      if (fields[1] == nullptr) continue;
      for (const double target : targets_(sample)) {
        if (spec_.fields[1].type == ElementType::kInt64) {
          reinterpret_cast<std::int64_t*>(fields[1])[next++] = static_cast<std::int64_t>(target);
        } else {
          reinterpret_cast<double*>(fields[1])[next++] = target;
        }
      }
    }
  }

 private:
  std::int64_t size_;
  SampleSpec spec_;
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
        samples_(Prefetcher::samples_for(parts.device, plain_samples(parts.dataset, options.precision))),
        program_(build_builtin_program("mlp", {.input_shape = parts.dataset.spec().fields[0].sizes,
                                               .classes = parts.outputs,
                                               .channels = {},
                                               .hidden = {8},
                                               .dropout = 0})
                     .to(options.precision == Precision::kFp64 ? at::kDouble : at::kFloat)
                     .on(parts.device.place())),
        executor_(program_),
        parameters_(make_bucket_plan(options, program_), trained_tensors(program_), kRiders),
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
        loader_(samples_, Order(0, samples_.size(), false), plan_, parts.communicator.rank(), 1, {}, 2,
                Prefetcher::buffers_for(parts.device)),
        inputs_(loader_, samples_, parts.device, parts.communicator) {}

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
    step_.beside([&] { evaluation = evaluator_.evaluate(plain_samples(dataset, options_.precision), stop); });
    return evaluation;
  }
  at::Tensor parameters() { return parameters_.flat_parameters().cpu(); }
  std::int64_t updates() const { return optimizer_->steps().at(0); }
  const TrainingStep& steps() const { return step_; }
  /// The program as evaluations run it.
  Program inference_program() const { return program_.with_graph(eval_form(program_.graph())); }

 private:
  Hyperparameters options_;
  BatchPlan plan_;
  TrainingJobParts parts_;
  ProgramSamples samples_;
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

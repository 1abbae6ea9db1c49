// A small job over whatever data, loss and metrics a test has.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/data/BatchPlan.h"
#include "engine/data/Loader.h"
#include "engine/data/Order.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "engine/train/EagerComputation.h"
#include "engine/train/Evaluator.h"
#include "engine/train/ParameterStorage.h"
#include "engine/train/Prefetcher.h"
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

/// Samples that a function gives targets to, and another weights. Input pixel p of sample i is sin(16 i + p).
class Waves : public Dataset {
 public:
  using Numbers = std::function<std::vector<double>(std::int64_t sample)>;

  /// `targets`: what sample i's targets are, as many as `shape.target` says. `weights`: what it weighs; without, there
  /// is no such column.
  Waves(std::int64_t size, const WaveShape& shape, Numbers targets, Numbers weights = nullptr)
      : size_(size), numbers_{std::move(targets), std::move(weights)} {
    spec_.fields = {{.name = "x", .type = ElementType::kDouble, .sizes = shape.input},
                    {.name = "targets",
                     .type = shape.class_labels ? ElementType::kInt64 : ElementType::kDouble,
                     .sizes = shape.target,
                     .bound = shape.class_labels ? shape.classes : 0}};
    if (numbers_[1]) spec_.fields.push_back({.name = kWeightColumn, .type = ElementType::kDouble});
  }

  std::int64_t size() const override { return size_; }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return "waves"; }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    auto* pixels = reinterpret_cast<double*>(fields[0]);
    for (const std::int64_t sample : samples) {
      for (std::int64_t pixel = 0; pixels != nullptr && pixel < spec_.fields[0].numbers(); ++pixel) {
        *pixels++ = std::sin(static_cast<double>(16 * sample + pixel));
      }
    }
    for (std::size_t field = 1; field < fields.size(); ++field) {
      std::size_t next = 0;
      for (std::size_t i = 0; i < samples.size() && fields[field] != nullptr; ++i) {
        for (const double number : numbers_[field - 1](samples[i])) {
          if (spec_.fields[field].type == ElementType::kInt64) {
            reinterpret_cast<std::int64_t*>(fields[field])[next++] = static_cast<std::int64_t>(number);
          } else {
            reinterpret_cast<double*>(fields[field])[next++] = number;
          }
        }
      }
    }
  }

 private:
  std::int64_t size_;
  SampleSpec spec_;
  Numbers numbers_[2];  ///< of the fields that follow the input
};

/// What of a job is not a hyperparameter.
struct TrainingJobParts {
  const Dataset& dataset;
  Device& device;
  Communicator& communicator;
  std::int64_t outputs = 0;  ///< of the program for each sample
  std::vector<std::int64_t> hidden = {8};
  double dropout = 0;
};

/// A small mlp that is trained on a data set in its own order. Steps, batches, precision, optimizer and
/// clipping are the hyperparameters'. Steps are captured where the device is asynchronous.
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
                                               .hidden = parts.hidden,
                                               .dropout = parts.dropout})
                     .to(options.precision == Precision::kFp64 ? at::kDouble : at::kFloat)
                     .on(parts.device.place())),
        parameters_(make_bucket_plan(options, program_, 1), trained_tensors(program_), kRiders),
        computation_(program_, objective, parameters_,
                     {.precision = options.precision, .seed = options.seed, .rank = parts.communicator.rank()}),
        reducer_(parameters_, parts.communicator, parts.communicator),
        optimizer_(make_optimizer(options, parameters_)),
        step_(parts.device, computation_, parameters_, reducer_, *optimizer_, parts.communicator, parts.communicator,
              {.clip_norm = options.clip_norm, .loss_scale = loss_scale, .capture = parts.device.asynchronous()}),
        evaluator_(parts.device, program_.with_graph(eval_form(program_.graph())), objective, options.precision,
                   options.eval_batch_size, 1, parts.communicator, parts.communicator),
        loader_(samples_, Order(0, samples_.size(), false), plan_, parts.communicator.rank(), 1, {}, 2,
                Prefetcher::buffers_for(parts.device)),
        inputs_(loader_, samples_, parts.device, parts.communicator) {}

  /// `change`: what is to be other than usual in this step.
  void start(const std::function<void(TrainingStep::Step&)>& change = [](TrainingStep::Step&) {}) {
    const std::int64_t batch_size = plan_.batch(next_ % plan_.steps()).size();
    TrainingStep::Step step{.batch_size = batch_size,
                            .global_step = next_++,
                            .learning_rate = options_.learning_rate,
                            .full = batch_size == options_.batch_size && options_.micro_batch_size == 0 &&
                                    batch_size % parts_.communicator.size() == 0};
    change(step);
    step_.start(inputs_, step);
  }
  TrainingStep::Result finish() { return step_.finish(); }
  TrainingStep::Result step() {
    start();
    return finish();
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
  const Program& program() const { return program_; }
  /// The program as evaluations run it.
  Program inference_program() const { return program_.with_graph(eval_form(program_.graph())); }

 private:
  Hyperparameters options_;
  BatchPlan plan_;
  TrainingJobParts parts_;
  ProgramSamples samples_;
  Program program_;
  FlatParameters parameters_;
  EagerComputation computation_;
  GradientReducer reducer_;
  std::unique_ptr<Optimizer> optimizer_;
  TrainingStep step_;
  Evaluator evaluator_;
  Loader loader_;
  Prefetcher inputs_;
  std::int64_t next_ = 0;
};

}  // namespace lockstep

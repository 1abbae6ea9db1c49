#include "engine/train/TrainingStep.h"

#include <ATen/Functions.h>

#include <cmath>
#include <cstddef>

#include "common/Error.h"
#include "common/SplitMix.h"
#include "common/Text.h"
#include "engine/collectives/DeviceWait.h"
#include "engine/device/KernelForm.h"
#include "engine/program/TorchError.h"
#include "engine/train/Forward.h"
#include "engine/train/NotFinite.h"

namespace lockstep {

namespace {

// Libraries make their plans and communicators their connections in the first steps: those must not be captured.
constexpr int kStepsBeforeCapture = 3;

// Dropout draws from the default generator. Its seed is a function of what is being computed, so a resumed job draws
// what the uninterrupted one would have.
std::uint64_t draw_seed(std::uint64_t seed, std::int64_t step, std::int64_t micro_batch, int rank) {
  std::uint64_t mixed = splitmix(seed);
  for (const auto part : {step, micro_batch, static_cast<std::int64_t>(rank)}) {
    mixed = splitmix(mixed ^ static_cast<std::uint64_t>(part));
  }
  return mixed;
}

// A copy in memory of its own.
DeviceBatch clone_batch(const DeviceBatch& batch) {
  DeviceBatch copy{.size = batch.size, .last_of_step = batch.last_of_step};
  for (const at::Tensor& input : batch.inputs) copy.inputs.push_back(input.clone());
  copy.targets = batch.targets.clone();
  if (batch.weights.defined()) copy.weights = batch.weights.clone();
  return copy;
}

// Into the memory of a batch of the same sizes.
void copy_batch(const DeviceBatch& from, const DeviceBatch& to) {
  for (std::size_t i = 0; i < from.inputs.size(); ++i) to.inputs[i].copy_(from.inputs[i]);
  to.targets.copy_(from.targets);
  if (from.weights.defined()) to.weights.copy_(from.weights);
}

}  // namespace

TrainingStep::TrainingStep(Device& device, Executor& executor, Objective objective, FlatParameters& parameters,
                           GradientReducer& reducer, Optimizer& optimizer, Communicator& communicator,
                           Communicator& host, Options options)
    : device_(device),
      executor_(executor),
      objective_(std::move(objective)),
      parameters_(parameters),
      reducer_(reducer),
      optimizer_(optimizer),
      communicator_(communicator),
      host_(host),
      options_(options),
      generator_(at::globalContext().defaultGenerator(device.place())),
      state_(1, device.place()),
      state_riders_(state_.numbers(offsetof(State, riders), kRiders, at::kDouble)),
      state_scale_(state_.number(offsetof(State, loss_scale), at::kDouble)) {}

template <typename Work>
auto TrainingStep::letting_go_on_error(const Work& work) {
  try {
    return work();
  } catch (...) {
    captured_.reset();
    throw;
  }
}

void TrainingStep::start(Prefetcher& inputs, const Step& step) {
  const double scale = options_.loss_scale ? options_.loss_scale->value() : 1;
  const State state = {.step = {.learning_rate = step.learning_rate},
                       .norm = {},
                       .loss_scale = scale,
                       .unscale = 1 / scale,
                       .riders = {.stop = step.stop ? 1.0 : 0.0, .save = step.save ? 1.0 : 0.0}};
  letting_go_on_error([&] {
    state_.write({&state, 1});
    run(inputs, step);
    started_.push_back({.global_step = step.global_step, .loss_scale = scale, .seconds = {}, .state = state_.read()});
    clock_.skip();
    inputs.prefetch();
    clock_.ends(&StepSeconds::data_wait);
    started_.back().seconds = clock_.seconds();
  });
}

void TrainingStep::beside(const std::function<void()>& work) {
  letting_go_on_error([&] { captured_ ? captured_->beside(work) : work(); });
}

void TrainingStep::drain() {
  letting_go_on_error([&] { await_device(communicator_, device_.place()); });
}

void TrainingStep::run(Prefetcher& inputs, const Step& step) {
  clock_.start();
  DeviceBatch batch = inputs.next();
  clock_.ends(&StepSeconds::data_wait);
  if (options_.capture && step.full && capture_failure_.empty()) return run_full(batch, step);
  begin();
  for (std::int64_t micro_batch = 0;; ++micro_batch) {
    if (batch.size > 0) {
      seed(step, micro_batch);
      beside([&] { accumulate(batch, step); });
    }
    if (batch.last_of_step) break;
    inputs.prefetch();
    batch = inputs.next();
    clock_.ends(&StepSeconds::data_wait);
  }
  update();
}

// A step of one micro-batch, on the way to being captured or replayed.
void TrainingStep::run_full(const DeviceBatch& batch, const Step& step) {
  seed(step, 0);
  if (full_steps_ < kStepsBeforeCapture) {
    ++full_steps_ < kStepsBeforeCapture ? compute(batch, step) : watch(batch, step);
    return;
  }
  if (!captured_) capture(batch, step);
  // What is replayed asks nobody: after an abort it would take rubbish for the other ranks' gradients.
  communicator_.check();
  copy_batch(batch, static_);
  captured_->replay();
  clock_.ends(&StepSeconds::replay);
}

void TrainingStep::compute(const DeviceBatch& batch, const Step& step) {
  begin();
  accumulate(batch, step);
  update();
}

void TrainingStep::begin() {
  reducer_.begin_step();
  parameters_.riders().copy_(state_riders_);
}

void TrainingStep::seed(const Step& step, std::int64_t micro_batch) {
  const std::lock_guard lock(generator_.mutex());
  generator_.set_current_seed(draw_seed(options_.seed, step.global_step, micro_batch, host_.rank()));
}

// Adds a micro-batch's part to the gradients and to the loss.
void TrainingStep::accumulate(const DeviceBatch& batch, const Step& step) {
  const at::Tensor output = forward(executor_, batch.inputs, options_.precision);
  const Loss& kind = objective_.loss();
  const LossTerms terms = kind.terms(output, batch.targets, batch.weights);
  const double expected = kind.expected_weight(step.batch_size, output);
  const at::Tensor loss = terms.sum.div(expected);
  parameters_.riders().select(0, kLoss).add_(loss.detach());
  add_weight(terms.weight, kind.expected_weight(batch.size, output), expected);
  if (batch.last_of_step) reducer_.last_micro_batch();
  clock_.ends(&StepSeconds::forward);
  try {
    (options_.loss_scale ? loss.mul(state_scale_) : loss).backward();
  } catch (const c10::Error& error) {
    rethrow(error, "step " + std::to_string(step.global_step + 1) + ": backward failed");
  }
  clock_.ends(&StepSeconds::backward);
}

// `weight`: of a micro-batch, undefined if it is what was expected of it, `here`; `expected`: of the global batch.
void TrainingStep::add_weight(const at::Tensor& weight, double here, double expected) {
  const at::Tensor actual = parameters_.riders().select(0, kWeight);
  if (!weight.defined()) {
    actual.add_(here / expected);
    return;
  }
  actual.add_(weight, 1 / expected);
  // Not to be found from the rounded sum.
  parameters_.riders().select(0, kMissingWeight).add_(weight.sub(here), -1 / expected);
}

void TrainingStep::update() {
  reducer_.finish();
  state_riders_.copy_(parameters_.riders());
  clock_.ends(&StepSeconds::reduction_wait);
  State* state = state_.data();
  // Also without clipping: what is not finite must not reach parameters that a checkpoint will hold.
  parameters_.find_gradient_norm(&state->norm);
  with_kernel_form(device_.place(), [&](auto... stream) {
    kernels::clip_gradients({.norm = &state->norm,
                             .unscale = &state->unscale,
                             .weight = &state->riders.weight,
                             .clip_norm = options_.clip_norm,
                             .step = &state->step},
                            stream...);
  });
  // All ranks hold the same gradient by now, to the bit: what follows from it they decide alike.
  optimizer_.step(&state->step, reducer_.received());
  clock_.ends(&StepSeconds::optimizer);
}

// An attempt that fails leaves PyTorch's allocator, its generator and NCCL in the middle of a capture, so it is found
// out beforehand. A collective that is replayed on one rank must be replayed on all.
void TrainingStep::watch(const DeviceBatch& batch, const Step& step) {
  capture_failure_ = device_.watch([&] { compute(batch, step); });
  std::int64_t failed = capture_failure_.empty() ? 0 : 1;
  host_.all_reduce(&failed, 1, DataType::kInt64, ReduceOp::kMax)->wait();
  if (failed > 0 && capture_failure_.empty()) capture_failure_ = "another rank could not";
}

void TrainingStep::capture(const DeviceBatch& batch, const Step& step) {
  static_ = clone_batch(batch);
  // What differs from step to step must not be read while capturing.
  const Step any = {.batch_size = step.batch_size, .global_step = -1, .learning_rate = std::nan(""), .full = true};
  const std::string context = "a step could not be captured as a CUDA graph; cuda_graph=false does without";
  await_device(communicator_, device_.place());
  try {
    captured_ = device_.capture([this, any] { compute(static_, any); });
  } catch (const c10::Error& error) {
    rethrow(error, context);
  } catch (const InputError& error) {
    throw InputError(context + ": " + error.what());
  }
}

TrainingStep::Result TrainingStep::finish() {
  Started started = std::move(started_.front());
  started_.pop_front();
  PhaseClock clock;
  if (device_.asynchronous()) clock.start();
  letting_go_on_error([&] { communicator_.await([&] { return started.state.arrived(); }); });
  if (device_.asynchronous()) clock.ends(&StepSeconds::device_wait);
  started.seconds += clock.seconds();
  const State state = started.state.wait().front();
  const kernels::StepWeight& weight = state.riders.weight;
  const bool weightless = !(weight.actual > 0);
  const double correction = weightless ? 1 : kernels::weight_correction(weight);
  const double norm = std::sqrt(state.norm.sum_of_squares) * (state.unscale * correction);
  // Gradients of float64 may be finite and their squares not: then nothing is wrong unless the norm is used.
  const bool uses_norm = options_.clip_norm > 0 || options_.loss_scale;
  const bool overflow = state.norm.non_finite > 0 || (uses_norm && !std::isfinite(norm));
  const bool mendable = overflow && started.loss_scale > 1;
  const double loss = state.riders.loss * correction;
  if (!mendable && (overflow || !std::isfinite(loss))) {
    const bool finite_loss = std::isfinite(loss);
    const std::int64_t wrong = state.norm.segment;
    const std::string what =
        !finite_loss ? "the loss is " + number_text(loss)
        : wrong < 0
            ? "the gradient's norm is " + number_text(norm)
            : "the gradient of " + parameters_.plan().names().at(static_cast<std::size_t>(wrong)) + " is not finite";
    throw NotFiniteError(started.global_step, what, finite_loss,
                         wrong < 0 ? std::nullopt : std::optional(static_cast<std::size_t>(wrong)));
  }
  // Gradients of nothing do not say whether the scale is right.
  if (options_.loss_scale && (overflow || !weightless)) options_.loss_scale->update(overflow);
  return {.loss = loss,
          .skipped = overflow,
          .weightless = weightless,
          .stop = state.riders.stop > 0,
          .save = state.riders.save > 0,
          .seconds = started.seconds};
}

}  // namespace lockstep

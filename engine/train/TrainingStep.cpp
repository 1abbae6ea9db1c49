#include "engine/train/TrainingStep.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cmath>
#include <cstddef>
#include <limits>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/collectives/DeviceWait.h"
#include "engine/device/KernelForm.h"
#include "engine/program/TorchError.h"
#include "engine/train/NotFinite.h"

namespace lockstep {

TrainingStep::TrainingStep(Device& device, StepComputation& computation, FlatParameters& parameters,
                           GradientReducer& reducer, Optimizer& optimizer, Communicator& communicator,
                           Communicator& host, Options options)
    : device_(device),
      computation_(computation),
      parameters_(parameters),
      reducer_(reducer),
      optimizer_(optimizer),
      communicator_(communicator),
      options_(options),
      state_(1, device.place()),
      state_riders_(state_.numbers(offsetof(State, riders), kRiders, at::kDouble)),
      clock_(options_.spans),
      captured_(device, communicator, host) {
  if (options_.passes_over_not_finite) {
    for (const at::Tensor& statistic : options_.statistics) kept_statistics_.push_back(statistic.clone());
  }
  if (options_.loss_scale) state_scale_ = state_.number(offsetof(State, loss_scale), at::kDouble);
}

template <typename Work>
auto TrainingStep::letting_go_on_error(const Work& work) {
  try {
    return work();
  } catch (...) {
    captured_.let_go();
    throw;
  }
}

void TrainingStep::start(BatchSource& inputs, const Step& step) {
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
    options_.position.enter(Phase::kData);
    inputs.prefetch();
    options_.position.enter(Phase::kBetweenSteps);
    clock_.ends(&StepSeconds::data_wait);
    started_.back().seconds = clock_.seconds();
  });
}

void TrainingStep::beside(const std::function<void()>& work) {
  letting_go_on_error([&] { captured_.beside(work); });
}

void TrainingStep::drain() {
  letting_go_on_error([&] { await_device(communicator_, device_.place()); });
}

void TrainingStep::run(BatchSource& inputs, const Step& step) {
  clock_.start();
  options_.position.enter(Phase::kData);
  Batch batch = inputs.next();
  options_.position.enter(Phase::kForward);
  clock_.ends(&StepSeconds::data_wait);
  if (options_.capture && step.full) {
    computation_.seed(step.global_step, 0);
    await_held();  // what is replayed is one piece
    const bool replayed = captured_.run(batch, [this, &step](const Batch& captured) {
      begin();
      accumulate(captured, step);
      update();
    });
    if (replayed) clock_.ends(&StepSeconds::replay);
    return;
  }
  begin();
  for (std::int64_t micro_batch = 0;; ++micro_batch) {
    if (batch.size > 0) {
      computation_.seed(step.global_step, micro_batch);
      beside([&] { accumulate(batch, step); });
    }
    if (batch.last_of_step) break;
    options_.position.enter(Phase::kData);
    inputs.prefetch();
    batch = inputs.next();
    clock_.ends(&StepSeconds::data_wait);
  }
  for (std::int64_t i = 0; i < step.idle && computation_.together(); ++i) beside([this] { computation_.idle(); });
  update();
}

void TrainingStep::begin() {
  reducer_.begin_step();
  computation_.begin_step();
  parameters_.riders().copy_(state_riders_);
  if (!kept_statistics_.empty()) at::_foreach_copy_(kept_statistics_, options_.statistics);
}

void TrainingStep::restore_statistics() {
  if (!kept_statistics_.empty()) at::_foreach_copy_(options_.statistics, kept_statistics_);
}

// The largest of each: an infinite or a NaN one stays what it is.
void TrainingStep::count_wrong_statistics() {
  std::vector<at::Tensor> numbers;
  for (const at::Tensor& statistic : options_.statistics) {
    if (statistic.is_floating_point() && statistic.numel() > 0) numbers.push_back(statistic);
  }
  if (numbers.empty()) return;
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> largest = at::_foreach_norm(numbers, std::numeric_limits<double>::infinity());
  for (at::Tensor& number : largest) number = number.to(parameters_.scalar_type());
  const at::Tensor wrong = at::isfinite(at::stack(largest)).logical_not().sum();
  parameters_.riders().select(0, kWrongStatistics).add_(wrong);
}

// Adds a micro-batch's part to the gradients and to the riders.
void TrainingStep::accumulate(const Batch& batch, const Step& step) {
  options_.position.enter(Phase::kForward);
  const StepComputation::Share share = computation_.forward(batch, step.batch_size);
  parameters_.riders().select(0, kLoss).add_(share.loss);
  add_weight(share);
  if (batch.last_of_step) count_wrong_statistics();
  clock_.ends(&StepSeconds::forward);
  options_.position.enter(Phase::kBackward);
  try {
    computation_.backward(state_scale_, batch.last_of_step ? &reducer_ : nullptr);
  } catch (const c10::Error& error) {
    rethrow(error, "step " + std::to_string(step.global_step + 1) + ": backward failed");
  }
  clock_.ends(&StepSeconds::backward);
}

void TrainingStep::add_weight(const StepComputation::Share& share) {
  const at::Tensor actual = parameters_.riders().select(0, kWeight);
  if (!share.weight.defined()) {
    actual.add_(share.here / share.expected);
    return;
  }
  actual.add_(share.weight, 1 / share.expected);
  // Not to be found from the rounded sum.
  parameters_.riders().select(0, kMissingWeight).add_(share.weight.sub(share.here), -1 / share.expected);
}

void TrainingStep::update() {
  options_.position.enter(Phase::kReduction);
  computation_.end_step(reducer_);
  reducer_.finish();
  state_riders_.copy_(parameters_.riders());
  clock_.ends(&StepSeconds::reduction_wait);
  options_.position.enter(Phase::kOptimizer);
  State* state = state_.data();
  // Also without clipping: what is not finite must not reach parameters that a checkpoint will hold.
  parameters_.find_gradient_norm(&state->norm);
  with_others([&](SharedUpdate& shared) { shared.sum_norm(&state->norm); });
  with_kernel_form(device_.place(), [&](auto... stream) {
    kernels::clip_gradients({.norm = &state->norm,
                             .unscale = &state->unscale,
                             .weight = &state->riders.weight,
                             .clip_norm = options_.clip_norm,
                             .step = &state->step,
                             .loss = &state->riders.loss,
                             .wrong = &state->riders.wrong_statistics},
                            stream...);
  });
  // All ranks hold the same norm by now, to the bit: what follows from it they decide alike.
  await_held();
  optimizer_.step(&state->step, reducer_.received());
  with_others([](SharedUpdate& shared) { shared.gather_parameters(); });
  if (options_.average != nullptr) options_.average->update(&state->step);
  clock_.ends(&StepSeconds::optimizer);
}

// Where ranks share out the update. Its time is theirs, not the optimizer's.
template <typename Exchange>
void TrainingStep::with_others(const Exchange& exchange) {
  if (options_.shared == nullptr) return;
  clock_.ends(&StepSeconds::optimizer);
  const PhaseScope reduces(options_.position, Phase::kReduction);
  exchange(*options_.shared);
  clock_.ends(&StepSeconds::reduction_wait);
}

void TrainingStep::await_held() {
  if (held_by_ == nullptr) return;
  held_by_->block(c10::impl::VirtualGuardImpl(device_.place().type()).getStream(device_.place()));
  held_by_ = nullptr;
}

// `norm`: 0 where the gradient can be used.
std::optional<NotFiniteError> TrainingStep::not_finite(const Started& started, const State& state, double loss,
                                                       double norm) const {
  using Found = NotFiniteError::Found;
  const auto found = [&](const std::string& what, Found where, std::optional<std::size_t> parameter = {}) {
    return NotFiniteError(started.global_step, what, where, parameter);
  };
  if (!std::isfinite(loss)) return found("the loss is " + number_text(loss), Found::kLoss);
  if (const std::int64_t segment = state.norm.segment; segment >= 0) {
    const auto parameter = static_cast<std::size_t>(segment);
    return found("the gradient of " + parameters_.plan().names().at(parameter) + " is not finite", Found::kGradient,
                 parameter);
  }
  if (!std::isfinite(norm)) return found("the gradient's norm is " + number_text(norm), Found::kGradient);
  if (state.riders.wrong_statistics > 0) return found("a running statistic is not finite", Found::kStatistic);
  return std::nullopt;
}

TrainingStep::Result TrainingStep::finish() {
  Started started = std::move(started_.front());
  started_.pop_front();
  PhaseClock clock(options_.spans);
  if (device_.asynchronous()) clock.start();
  letting_go_on_error([&] {
    const PhaseScope waits(options_.position, Phase::kDevice);
    communicator_.await([&] { return started.state.arrived(); });
  });
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
  const double loss = state.riders.loss * correction;
  const bool mendable = overflow && started.loss_scale > 1 && state.riders.wrong_statistics == 0;
  if (const auto wrong = not_finite(started, state, loss, overflow ? norm : 0); wrong && !mendable) {
    if (!options_.passes_over_not_finite) throw *wrong;
    restore_statistics();
    return {.skipped = true,
            .stop = state.riders.stop > 0,
            .save = state.riders.save > 0,
            .seconds = started.seconds,
            .not_finite = wrong};
  }
  // Gradients of nothing do not say whether the scale is right.
  if (options_.loss_scale && (overflow || !weightless)) options_.loss_scale->update(overflow);
  return {.loss = loss,
          .weight = weight.missing == 0 ? 1 : weight.actual,
          .skipped = overflow,
          .weightless = weightless,
          .stop = state.riders.stop > 0,
          .save = state.riders.save > 0,
          .seconds = started.seconds};
}

}  // namespace lockstep

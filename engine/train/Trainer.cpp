#include "engine/train/Trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "common/Error.h"
#include "common/Seconds.h"
#include "common/Text.h"
#include "engine/collectives/FirstWord.h"
#include "engine/data/Variation.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

Trainer::Trainer(const Hyperparameters& hyperparameters, TrainingInput input, const RankContext& context,
                 TrainingSurroundings surroundings)
    : hyperparameters_(hyperparameters),
      train_(std::move(input.train)),
      context_(context),
      surroundings_(std::move(surroundings)),
      plan_(hyperparameters, train_.samples->shards(context.host.size())),
      model_(hyperparameters, input.program, std::move(input.rewritten), std::move(input.buckets), context),
      schedule_(hyperparameters, plan_.total_steps),
      steps_(hyperparameters, input.objective, model_, context),
      evaluation_(hyperparameters, input.objective, model_.judged_program(), std::move(input.evaluation), context),
      best_(hyperparameters, std::move(input.objective)),
      checkpoints_(hyperparameters, surroundings_.checkpoints, context, surroundings_.events) {
  checkpoints_.reserve(model_.tensors());
}

MemoryUse Trainer::memory() {
  MemoryUse use = model_.memory();
  if (!evaluation_.channel().empty()) use.best = best_.bytes(model_.judged_inference());
  use.checkpoint = checkpoints_.bytes();
  if (use.checkpoint > 0) use.checkpoint += model_.bytes_made_whole();
  return use;
}

void Trainer::check(const SavedCheckpoint& checkpoint) {
  const CheckpointState& state = checkpoint.state;
  const std::int64_t steps = plan_.batches.steps();
  if (state.position.step > steps || state.position.epoch > state.step / steps ||
      state.position.epoch * steps + state.position.step != state.step) {
    throw InputError("the checkpoint's step " + std::to_string(state.step) + " is not step " +
                     std::to_string(state.position.step) + " of epoch " + std::to_string(state.position.epoch) +
                     ", as it says, in epochs of " + std::to_string(steps) + " steps");
  }
  model_.check(checkpoint);
  evaluation_.check(state);
  best_.check(checkpoint, model_.judged_inference());
  schedule_.check(state.plateau);
  if (state.loss_scale && !(std::isfinite(state.loss_scale->value) && state.loss_scale->value > 0)) {
    throw InputError(format("its loss scale is %g", state.loss_scale->value));
  }
}

void Trainer::restore(const SavedCheckpoint& checkpoint) {
  const CheckpointState& state = checkpoint.state;
  if (state.step > plan_.total_steps) {
    throw InputError("the checkpoint is of step " + std::to_string(state.step) + ", beyond the job's end at step " +
                     std::to_string(plan_.total_steps) + "; give more epochs or max_steps");
  }
  model_.restore(checkpoint);
  if (state.loss_scale && steps_.loss_scale()) {
    steps_.set_loss_scale(LossScale(*state.loss_scale, hyperparameters_.loss_scale_growth_interval));
  }
  progress_.global_step = state.step;
  progress_.position = state.position;
  progress_.epoch_loss = state.epoch_loss;
  progress_.epoch_weight = state.epoch_weight;
  evaluation_.restore(state);
  best_.restore(checkpoint, model_.judged_inference());
  schedule_.restore(state.plateau);
  checkpoints_.restored(state.step, state.evaluated_step);
}

// A collective. The tensors are those of training.
Snapshot Trainer::take_snapshot() {
  Checkpoint checkpoint{.state = {.step = progress_.global_step,
                                  .position = progress_.position,
                                  .epoch_loss = progress_.epoch_loss,
                                  .epoch_weight = progress_.epoch_weight,
                                  .job = checkpoints_.job()},
                        .model = {},
                        .optimizer = {},
                        .statistics = {},
                        .best = {}};
  if (steps_.loss_scale()) checkpoint.state.loss_scale = steps_.loss_scale()->state();
  checkpoint.state.plateau = schedule_.state();
  model_.save(checkpoint, checkpoints_.writes());
  evaluation_.save(checkpoint.state);
  best_.save(checkpoint);
  return Snapshot(std::move(checkpoint));
}

void Trainer::save_checkpoint(CheckpointKeeper::Training training) {
  const PhaseScope saves(context_.position, Phase::kCheckpoint);
  c10::Event* const copied = checkpoints_.save(progress_.global_step, evaluation_.step(), training, [this] {
    require_finite_state();
    steps_.drain();
    return take_snapshot();
  });
  if (copied != nullptr) steps_.hold_update(copied);
}

bool Trainer::is_over() const {
  return plan_.total_steps == evaluation_.step() || best_.out_of_patience() || progress_.stopped;
}

TrainingResult Trainer::run() {
  try {
    return train();
  } catch (const std::exception&) {
    checkpoints_.linger();
    throw;
  }
}

TrainingResult Trainer::train() {
  context_.position.enter(Phase::kBetweenSteps);
  checkpoints_.begin();
  if (!is_over()) progress_.stopped = asked_to_stop();
  const LoaderPosition& position = progress_.position;
  const LoaderPosition start = position.step < plan_.batches.steps() ? position : LoaderPosition{position.epoch + 1, 0};
  const ProgramSamples samples = samples_to_train();
  Loader loader(samples, plan_.order(context_.host.rank()), plan_.batches, context_.host.rank(),
                static_cast<int>(hyperparameters_.loader_threads), start, {}, Prefetcher::buffers_for(context_.device),
                &steps_.spans());
  Prefetcher inputs(loader, samples, context_.device, context_.communicator);
  while (!is_over()) {
    const auto epoch_start = Clock::now();
    const std::int64_t samples_before = progress_.trained_samples;
    train_epoch(inputs);
    const double seconds = seconds_since(epoch_start);
    progress_.training_seconds += seconds;
    if (!progress_.stopped) end_epoch(seconds, progress_.trained_samples - samples_before);
  }
  require_finite_state();
  if (checkpoints_.enabled() && progress_.global_step > 0) save_checkpoint(CheckpointKeeper::Training::kWaits);
  if (progress_.stopped) model_.average_statistics();
  // Of the rank's own time: ranks wait while others are at something else.
  double share = progress_.training_seconds > 0 ? loader.seconds_waited() / progress_.training_seconds : 0;
  context_.host.all_reduce(&share, 1, DataType::kFloat64, ReduceOp::kMax)->wait();
  steps_.drain();
  require_something_trained();
  return result(share);
}

// A collective. Before the first step there is nothing that the request could travel with.
bool Trainer::asked_to_stop() {
  std::int64_t asked = surroundings_.stop_requested() ? 1 : 0;
  context_.host.all_reduce(&asked, 1, DataType::kInt64, ReduceOp::kSum)->wait();
  return asked > 0;
}

// An evaluation when it is its time, the next epoch, and a checkpoint when one is due.
void Trainer::end_epoch(double seconds, std::int64_t samples) {
  const std::int64_t step = progress_.global_step;
  LoaderPosition& position = progress_.position;
  if (((position.epoch + 1) % hyperparameters_.eval_every == 0 || step == plan_.total_steps) &&
      evaluation_.step() != step) {
    evaluate(static_cast<double>(samples) / seconds);
    if (progress_.stopped) return;
  }
  if (position.step == plan_.batches.steps()) {
    position = {position.epoch + 1, 0};
    progress_.epoch_loss = 0;
    progress_.epoch_weight = 0;
  }
  if (checkpoints_.due()) save_checkpoint(CheckpointKeeper::Training::kGoesOn);
}

void Trainer::require_something_trained() {
  if (progress_.stopped || progress_.global_step == 0) return;
  const std::string nothing = "nothing was trained: ";
  const std::string all = "all " + std::to_string(progress_.global_step) + " steps";
  if (progress_.not_finite_steps == progress_.global_step) {
    throw CollectiveError(kExitRankFailed,
                          nothing + "of " + all + " the loss, a gradient or a running statistic was not finite");
  }
  if (steps_.loss_scale() && steps_.loss_scale()->overflows() == progress_.global_step) {
    throw CollectiveError(kExitRankFailed, nothing + "the gradients of " + all +
                                               " overflowed in fp16; try a smaller loss_scale or precision=bf16");
  }
  if (std::ranges::max(model_.optimizer().steps()) > 0) return;
  throw CollectiveError(kExitRankFailed, nothing + "in " + all +
                                             " no label counted; look at ignore_index and class_weights, and at what "
                                             "labels the channel " +
                                             train_.channel + " has");
}

TrainingResult Trainer::result(double data_wait_share) {
  const bool best = best_.copy().has_value();
  const std::int64_t state_step = best ? best_.step() : progress_.global_step;
  const std::int64_t epoch_steps = plan_.batches.steps();
  // The user's graph may ask for views that only the usual order of memory has.
  TrainingResult result{
      .program = (best ? *best_.copy() : model_.judged_inference()).on(c10::Device(c10::kCPU)).row_major(),
      .steps = progress_.global_step,
      .state_step = state_step,
      .state_epoch = (state_step + epoch_steps - 1) / epoch_steps,
      .evaluated_channel = evaluation_.channel(),
      .evaluation = best ? best_.evaluation() : evaluation_.last(),
      .training_seconds = progress_.training_seconds,
      .data_wait_share = data_wait_share,
      .loss_scale = steps_.loss_scale(),
      .not_finite_steps = progress_.not_finite_steps,
      .captured = steps_.captured(),
      .stopped = progress_.stopped,
      .saved = checkpoints_.enabled() && progress_.global_step > 0 && checkpoints_.saved()};
  if (result.training_seconds > 0) {
    result.samples_per_second = static_cast<double>(progress_.trained_samples) / result.training_seconds;
  }
  return result;
}

bool Trainer::epoch_goes_on() const {
  return progress_.position.step < plan_.batches.steps() && progress_.global_step < plan_.total_steps &&
         !progress_.stopped;
}

// From where the epoch stands to its end, the job's last step, or the step after which the ranks stop.
void Trainer::train_epoch(Prefetcher& inputs) {
  while (epoch_goes_on()) {
    start_step(inputs);
    while (steps_.full()) finish_step();
    report_capture_failure();
    checkpoints_.step_started(progress_.global_step);
    if (!checkpoints_.due()) continue;
    while (!steps_.empty()) finish_step();
    // The epoch's last comes after its evaluation.
    if (epoch_goes_on()) save_checkpoint(CheckpointKeeper::Training::kGoesOn);
  }
  while (!steps_.empty()) finish_step();
}

void Trainer::start_step(Prefetcher& inputs) {
  const BatchPlan& batches = plan_.batches;
  const std::int64_t step = progress_.position.step;
  const std::int64_t batch_size = batches.batch(step).size();
  const double learning_rate = schedule_.learning_rate(progress_.global_step);
  const bool full =
      batch_size == hyperparameters_.batch_size && batches.even(step) && batches.micro_batches(step, 0).size() == 1;
  const StepDone about = {.epoch = progress_.position.epoch + 1,
                          .epochs = plan_.epochs,
                          .step = step + 1,
                          .steps = batches.steps(),
                          .total_steps = plan_.total_steps,
                          .global_step = progress_.global_step + 1,
                          .batch_size = batch_size,
                          .learning_rate = learning_rate};
  const auto start = Clock::now();
  const double waited = context_.position.seconds_waited();
  context_.position.begin_step(static_cast<std::uint64_t>(progress_.global_step) + 1);
  steps_.start(inputs,
               {.batch_size = batch_size,
                .global_step = progress_.global_step,
                .learning_rate = learning_rate,
                .stop = surroundings_.stop_requested(),
                .save = checkpoints_.clock_is_due(),
                .idle = batches.most_micro_batches(step) -
                        static_cast<std::int64_t>(batches.micro_batches(step, context_.host.rank()).size()),
                .full = full},
               about);
  const double seconds = seconds_since(start);
  context_.position.end_step(seconds - (context_.position.seconds_waited() - waited), seconds);
  ++progress_.global_step;
  ++progress_.position.step;
  progress_.trained_samples += batch_size;
  model_.trained_on(batches.slice(step, context_.host.rank()).size());
}

void Trainer::finish_step() {
  StepDone done = steps_.oldest();
  const LoaderPosition position{done.epoch - 1, done.step - 1};
  TrainingStep::Result result;
  try {
    result = steps_.finish();
  } catch (const NotFiniteError& error) {
    steps_.drain();
    throw CollectiveError(kExitRankFailed, explained(error, done));
  }
  if (result.not_finite) {
    pass_over(explained(*result.not_finite, done));
  } else if (result.skipped) {
    // No loss scale mends data.
    const std::string bad = diagnosis().find_bad_sample(position);
    if (!bad.empty()) pass_over("step " + std::to_string(done.global_step) + ": " + bad);
  } else {
    progress_.not_finite_in_row = 0;
  }
  progress_.stopped |= result.stop;
  if (result.save) checkpoints_.request();
  if (!result.skipped && !result.weightless) {
    const double weight = static_cast<double>(done.batch_size) * result.weight;
    progress_.epoch_loss += result.loss * weight;
    progress_.epoch_weight += weight;
  }
  done.loss = result.not_finite ? std::numeric_limits<double>::quiet_NaN() : result.loss;
  done.skipped = result.skipped && !result.not_finite;
  done.weightless = result.weightless;
  done.seconds = result.seconds;
  if (steps_.loss_scale()) done.loss_scale = steps_.loss_scale()->value();
  done.when = Clock::now();
  const std::optional<Traced> traced = steps_.traced(done.global_step);
  surroundings_.events.step_done(done);
  if (traced) tell(*traced);
  if (const auto slow = context_.position.slow_rank()) {
    surroundings_.events.straggler(
        {.rank = slow->rank, .host = slow->host, .factor = slow->factor, .global_step = done.global_step});
  }
}

void Trainer::tell(const Traced& traced) {
  surroundings_.events.traced(traced);
  for (std::size_t rank = 0; rank < traced.ranks.size(); ++rank) {
    const std::int64_t dropped = traced.ranks[rank].dropped;
    if (dropped == 0) continue;
    surroundings_.events.note({.text = "the trace of rank " + std::to_string(rank) + " is full: it lacks its last " +
                                       with_commas(dropped) + " spans; trace fewer steps",
                               .warning = true});
  }
}

void Trainer::pass_over(const std::string& why) {
  const std::int64_t most = hyperparameters_.nonfinite_steps;
  if (++progress_.not_finite_in_row > most) {
    throw CollectiveError(kExitRankFailed, why + (most > 0 ? "; the " + std::to_string(most) +
                                                                 " steps before it were not finite either, "
                                                                 "and nonfinite_steps allows no more in a row"
                                                           : ""));
  }
  ++progress_.not_finite_steps;
  surroundings_.events.note({.text = why + "; the step changes nothing (" +
                                     std::to_string(progress_.not_finite_in_row) +
                                     " in a row; nonfinite_steps allows " + std::to_string(most) + ")",
                             .warning = true});
}

std::string Trainer::explained(const NotFiniteError& error, const StepDone& step) {
  return error.what() +
         diagnosis().cause_of(error, {step.epoch - 1, step.step - 1}, [&] { return find_operator(step); });
}

// Runs the step's micro-batches once more, with checks. A collective.
std::string Trainer::find_operator(const StepDone& step) {
  std::string found;
  try {
    const LoaderPosition position{step.epoch - 1, step.step - 1};
    const int rank = context_.host.rank();
    const ProgramSamples samples = samples_to_train();
    Loader loader(samples, plan_.order(rank), plan_.batches, rank, /*threads=*/1, position, {},
                  Prefetcher::buffers_for(context_.device));
    Prefetcher inputs(loader, samples, context_.device, context_.communicator);
    const TrainingStep::Step about{.batch_size = step.batch_size, .global_step = step.global_step - 1};
    for (std::int64_t micro_batch = 0;; ++micro_batch) {
      const Batch batch = inputs.next();
      if (batch.size > 0 && found.empty()) found = steps_.find_operator(batch, about, micro_batch);
      if (batch.last_of_step) break;
    }
  } catch (const std::exception&) {
    found.clear();  // what is known without it is said all the same
  }
  const auto first = first_word(context_.host.all_gather(found));
  if (!first) return "";
  return (context_.host.size() > 1 ? "on rank " + std::to_string(first->rank) + " " : "") + first->text;
}

ProgramSamples Trainer::samples_to_train() const {
  return Prefetcher::samples_for(context_.device, *train_.samples)
      .varied(variation_of(hyperparameters_, plan_.data_seed(context_.host.rank())));
}

void Trainer::report_capture_failure() {
  if (steps_.capture_failure().empty() || progress_.capture_failure_told) return;
  progress_.capture_failure_told = true;
  surroundings_.events.note(
      {.text = "steps run without a CUDA graph, which is slower for small programs: " + steps_.capture_failure()});
}

void Trainer::require_finite_state() {
  if (progress_.finite_step == progress_.global_step) return;
  steps_.drain();
  diagnosis().require_finite_state(progress_.global_step);
  progress_.finite_step = progress_.global_step;
}

void Trainer::evaluate(double samples_per_second) {
  const PhaseScope evaluates(context_.position, Phase::kEvaluation);
  model_.average_statistics();
  require_finite_state();
  const std::int64_t step = progress_.global_step;
  Evaluated told = {
      .epoch = progress_.position.epoch + 1, .global_step = step, .train_samples_per_second = samples_per_second};
  const double train_loss = progress_.epoch_loss / progress_.epoch_weight;
  if (std::isfinite(train_loss)) told.train_loss = train_loss;
  if (!evaluation_.channel().empty()) {
    std::optional<Evaluation> evaluation;
    // Each batch is progress.
    const StopRequested next_batch = [this] {
      context_.position.enter(Phase::kEvaluation);
      return surroundings_.stop_requested();
    };
    steps_.beside([&] { evaluation = evaluation_.evaluate(next_batch); });
    if (!evaluation) {
      progress_.stopped = true;
      return;
    }
    evaluation_.keep(*evaluation, step, surroundings_.events);
    told.metrics = evaluation->metrics(evaluation_.channel());
    told.tables = evaluation->tables(evaluation_.channel());
    best_.offer(*evaluation, step, model_.judged_inference());
    schedule_.evaluated(evaluation->metric(hyperparameters_.monitor.metric));
  }
  told.ranks = steps_.take_use();
  evaluation_.done(step);
  surroundings_.events.evaluated(told);
  if (best_.out_of_patience()) {
    surroundings_.events.note({.text = "stopping early: " + hyperparameters_.monitor.metric + " has not improved in " +
                                       std::to_string(best_.evaluations_since()) + " evaluations (patience)"});
  }
}

}  // namespace lockstep

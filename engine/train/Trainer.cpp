#include "engine/train/Trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <iterator>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/collectives/Agreement.h"
#include "engine/program/EvalForm.h"
#include "engine/program/Passes.h"
#include "engine/train/ParameterStorage.h"
#include "engine/train/RunningStatistics.h"

namespace lockstep {

namespace {

constexpr std::int64_t kSmallestDefaultEvalBatch = 256;
// Enqueued beyond the one whose outcome is awaited: so that the device has the next one when it ends the short one
// before sooner than the host awakes.
constexpr std::size_t kStepsInFlight = 2;

std::vector<at::Tensor> tensors_of(const std::vector<StateTensor>& entries) {
  std::vector<at::Tensor> tensors;
  for (const StateTensor& entry : entries) tensors.push_back(entry.tensor);
  return tensors;
}

// Of the model: what a checkpoint holds.
NamedTensors tensors_of(const Program& program) {
  NamedTensors tensors;
  for (const StateTensor& entry : program.state()) {
    if (entry.kind != InputKind::kConstant) tensors[entry.name] = entry.tensor;
  }
  return tensors;
}

SavedEvaluation saved(const Evaluation& evaluation, std::int64_t step) {
  SavedEvaluation saved{.step = step, .metrics = {{"loss", evaluation.loss}}};
  if (evaluation.accuracy) saved.metrics["accuracy"] = *evaluation.accuracy;
  if (evaluation.top5) saved.metrics["top5"] = *evaluation.top5;
  return saved;
}

Evaluation evaluation_of(const SavedEvaluation& saved) {
  const auto metric = [&](const char* name) {
    const auto found = saved.metrics.find(name);
    return found == saved.metrics.end() ? std::nullopt : std::optional(found->second);
  };
  if (!metric("loss")) throw InputError("the checkpoint's evaluation lacks the loss");
  return {.loss = *metric("loss"), .accuracy = metric("accuracy"), .top5 = metric("top5")};
}

std::int64_t micro_batch_size(const Hyperparameters& hyperparameters, int ranks) {
  if (hyperparameters.micro_batch_size > 0) return hyperparameters.micro_batch_size;
  return (hyperparameters.batch_size + ranks - 1) / ranks;
}

std::optional<LossScale> initial_loss_scale(const Hyperparameters& hyperparameters) {
  if (hyperparameters.precision != Precision::kFp16) return std::nullopt;
  return LossScale(hyperparameters.loss_scale, hyperparameters.loss_scale_growth_interval);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Program Trainer::rewritten(const Program& program, const Hyperparameters& hyperparameters) {
  std::vector<std::string> changes;
  return apply_passes(program, hyperparameters.passes, changes);
}

std::int64_t Trainer::eval_batch_size(const Hyperparameters& hyperparameters, int ranks) {
  if (hyperparameters.eval_batch_size > 0) return hyperparameters.eval_batch_size;
  return std::max(micro_batch_size(hyperparameters, ranks), kSmallestDefaultEvalBatch);
}

BatchPlan Trainer::batch_plan(const Hyperparameters& hyperparameters, const Dataset& train, int ranks) {
  return BatchPlan(train.size(), hyperparameters.batch_size, hyperparameters.micro_batch_size, ranks);
}

std::int64_t Trainer::total_steps(const Hyperparameters& hyperparameters, const BatchPlan& plan) {
  const std::int64_t steps = hyperparameters.epochs * plan.steps();
  return hyperparameters.max_steps > 0 ? std::min(steps, hyperparameters.max_steps) : steps;
}

Trainer::Trainer(const Hyperparameters& hyperparameters, const Program& program, Program rewritten, BucketPlan buckets,
                 NamedDataset train, std::optional<NamedDataset> evaluation, RankContext context)
    : hyperparameters_(hyperparameters),
      program_(std::move(rewritten)),
      inference_program_(program_.with_graph(eval_form(program.graph()))),
      train_(std::move(train)),
      evaluation_(std::move(evaluation)),
      context_(context),
      plan_(batch_plan(hyperparameters, *train_.dataset, context.host.size())),
      total_steps_(total_steps(hyperparameters, plan_)),
      executor_(program_, /*trains=*/true),
      parameters_(std::move(buckets), tensors_of(program_.trained_parameters())),
      reducer_(parameters_, context.communicator, context.host),
      optimizer_(make_optimizer(hyperparameters, parameters_)),
      schedule_(hyperparameters, total_steps_),
      step_(context.device, executor_, Objective(hyperparameters.loss, hyperparameters.label_smoothing), parameters_,
            reducer_, *optimizer_, context.communicator, context.host,
            {.precision = hyperparameters.precision,
             .clip_norm = hyperparameters.clip_norm,
             .seed = hyperparameters.seed,
             .loss_scale = initial_loss_scale(hyperparameters),
             .capture = hyperparameters.cuda_graph && context.device.asynchronous()}),
      evaluator_(context.device, program_.with_graph(eval_form(program_.graph())),
                 Objective(hyperparameters.loss, hyperparameters.label_smoothing), hyperparameters.precision,
                 eval_batch_size(hyperparameters, context.host.size()),
                 static_cast<int>(hyperparameters.loader_threads), context.communicator, context.host) {}

MemoryUse Trainer::memory() {
  const auto bytes = [](const at::Tensor& tensor) { return static_cast<std::int64_t>(tensor.nbytes()); };
  MemoryUse use{.parameters = bytes(parameters_.flat_parameters()), .gradients = bytes(parameters_.flat_gradients())};
  for (const OptimizerState& state : optimizer_->state()) use.optimizer += bytes(state.values);
  return use;
}

void Trainer::check(const Checkpoint& checkpoint) {
  const CheckpointState& state = checkpoint.state;
  if (state.position.step > plan_.steps() || state.position.epoch > state.step / plan_.steps() ||
      state.position.epoch * plan_.steps() + state.position.step != state.step) {
    throw InputError("the checkpoint's step " + std::to_string(state.step) + " is not step " +
                     std::to_string(state.position.step) + " of epoch " + std::to_string(state.position.epoch) +
                     ", as it says, in epochs of " + std::to_string(plan_.steps()) + " steps");
  }
  require_tensors(checkpoint.model, tensors_of(inference_program_));
  require_tensors(checkpoint.optimizer, optimizer_tensors(*optimizer_, parameters_));
  for (const std::string& name : parameters_.plan().names()) {
    if (!state.optimizer_steps.contains(name)) throw InputError("the checkpoint lacks the updates of " + name);
  }
  if (has_statistics_of_ranks(checkpoint)) {
    for (const StateTensor& entry : statistics_of_rank(program_)) {
      const auto all = checkpoint.statistics.find(entry.name);
      if (all == checkpoint.statistics.end()) {
        throw InputError("the checkpoint lacks the statistics " + in_quotes(entry.name));
      }
      if (all->second.dim() == 0 || all->second.size(0) != context_.host.size()) {
        throw InputError("the checkpoint's statistics " + in_quotes(entry.name) + " are not of " +
                         std::to_string(context_.host.size()) + " ranks");
      }
      require_tensors({{entry.name, all->second[0]}}, {{entry.name, entry.tensor}});
    }
  }
  if (state.last) evaluation_of(*state.last);
  const bool best = state.best && hyperparameters_.artifact_state == ArtifactState::kBest;
  if (state.best) evaluation_of(*state.best);
  if (best) require_tensors(checkpoint.best, tensors_of(inference_program_));
  std::vector<StateTensor> numbers;
  for (const StateTensor& entry : trained_state(program_)) {
    numbers.push_back({entry.name, entry.kind, checkpoint.model.at(entry.name)});
    if (best) numbers.push_back({"the best state's " + entry.name, entry.kind, checkpoint.best.at(entry.name)});
  }
  for (const auto& [name, tensor] : checkpoint.optimizer) numbers.push_back({name, InputKind::kBuffer, tensor});
  for (const auto& [name, tensor] : checkpoint.statistics) {
    numbers.push_back({"the ranks' " + name, InputKind::kBuffer, tensor});
  }
  if (const std::string found = find_not_finite(numbers); !found.empty()) {
    throw InputError(found + ": nothing good comes of going on from there");
  }
  if (state.loss_scale && !(std::isfinite(state.loss_scale->value) && state.loss_scale->value > 0)) {
    throw InputError(format("its loss scale is %g", state.loss_scale->value));
  }
}

// Whether each rank gets its own back; else all begin with the average.
bool Trainer::has_statistics_of_ranks(const Checkpoint& checkpoint) const {
  return checkpoint.state.samples_since_average.size() == static_cast<std::size_t>(context_.host.size());
}

void Trainer::restore(const Checkpoint& checkpoint) {
  const CheckpointState& state = checkpoint.state;
  if (state.step > total_steps_) {
    throw InputError("the checkpoint is of step " + std::to_string(state.step) + ", beyond the job's end at step " +
                     std::to_string(total_steps_) + "; give more epochs or max_steps");
  }
  restore_tensors(checkpoint.model, tensors_of(inference_program_));
  restore_tensors(checkpoint.optimizer, optimizer_tensors(*optimizer_, parameters_));
  std::vector<std::int64_t> steps;
  for (const std::string& name : parameters_.plan().names()) steps.push_back(state.optimizer_steps.at(name));
  optimizer_->set_steps(steps);
  if (has_statistics_of_ranks(checkpoint)) {
    const int rank = context_.host.rank();
    NamedTensors rows;
    NamedTensors mine;
    for (const StateTensor& entry : statistics_of_rank(program_)) {
      rows[entry.name] = checkpoint.statistics.at(entry.name)[rank];
      mine[entry.name] = entry.tensor;
    }
    restore_tensors(rows, mine);
    samples_since_average_ = state.samples_since_average[static_cast<std::size_t>(rank)];
  }
  if (state.loss_scale && step_.loss_scale()) {
    step_.set_loss_scale(LossScale(*state.loss_scale, hyperparameters_.loss_scale_growth_interval));
  }
  global_step_ = state.step;
  position_ = state.position;
  epoch_loss_ = state.epoch_loss;
  epoch_samples_ = state.epoch_samples;
  evaluated_step_ = state.evaluated_step;
  evaluations_since_best_ = state.evaluations_since_best;
  if (state.last) last_evaluation_ = evaluation_of(*state.last);
  if (state.best) {
    best_evaluation_ = evaluation_of(*state.best);
    best_step_ = state.best->step;
    if (hyperparameters_.artifact_state == ArtifactState::kBest) {
      best_ = inference_program_.clone();
      restore_tensors(checkpoint.best, tensors_of(*best_));
    }
  }
  saved_ = {global_step_, evaluated_step_};
}

// A collective, though only rank 0 needs what it returns. Its tensors are those of training: they change with the next
// step.
Checkpoint Trainer::make_checkpoint() {
  Checkpoint checkpoint{.state = {.step = global_step_,
                                  .position = position_,
                                  .epoch_loss = epoch_loss_,
                                  .epoch_samples = epoch_samples_,
                                  .evaluated_step = evaluated_step_,
                                  .evaluations_since_best = evaluations_since_best_,
                                  .job = surroundings_.checkpoints->job()},
                        .model = tensors_of(inference_program_),
                        .optimizer = optimizer_tensors(*optimizer_, parameters_),
                        .statistics = gather_running_statistics(program_, context_.host),
                        .best = best_ ? tensors_of(*best_) : NamedTensors()};
  CheckpointState& state = checkpoint.state;
  state.samples_since_average.resize(static_cast<std::size_t>(context_.host.size()));
  context_.host.all_gather(&samples_since_average_, state.samples_since_average.data(), 1, DataType::kInt64)->wait();
  for (const auto& [name, average] : averaged(checkpoint.statistics, state.samples_since_average)) {
    checkpoint.model[name] = average;
  }
  if (best_evaluation_) state.best = saved(*best_evaluation_, best_step_);
  if (last_evaluation_) state.last = saved(*last_evaluation_, evaluated_step_);
  if (step_.loss_scale()) state.loss_scale = step_.loss_scale()->state();
  const std::vector<std::int64_t> steps = optimizer_->steps();
  for (std::size_t i = 0; i < steps.size(); ++i) state.optimizer_steps[parameters_.plan().names()[i]] = steps[i];
  return checkpoint;
}

void Trainer::save_checkpoint() {
  checkpoint_due_ = false;
  if (saved_ == std::pair(global_step_, evaluated_step_)) return;
  const auto start = Clock::now();
  const CheckpointDirectory& directory = *surroundings_.checkpoints;
  require_finite_state();
  step_.drain();
  const Checkpoint checkpoint = make_checkpoint();
  std::vector<std::string> not_pruned;
  require_all_ok(context_.host, [&] {
    if (context_.host.rank() != 0) return;
    directory.write(global_step_, [&](const std::filesystem::path& place) { write_checkpoint(checkpoint, place); });
    not_pruned = directory.keep_newest(hyperparameters_.checkpoint_keep, global_step_);
  });
  saved_ = {global_step_, evaluated_step_};
  last_checkpoint_ = Clock::now();
  if (Reporter* reporter = surroundings_.reporter) {
    reporter->note("checkpoint " + directory.path_of(global_step_).string() +
                   format(", written in %.2f s", seconds_since(start)));
    if (not_pruned != not_pruned_) {
      for (const std::string& text : not_pruned) reporter->note("WARNING: older checkpoints take up room: " + text);
    }
  }
  not_pruned_ = std::move(not_pruned);
}

// Whether this rank's clock says that it is time for a checkpoint: one clock counts.
bool Trainer::wants_checkpoint() const {
  const double interval = hyperparameters_.checkpoint_every.seconds;
  return surroundings_.checkpoints && interval > 0 && context_.host.rank() == 0 &&
         seconds_since(last_checkpoint_) >= interval;
}

bool Trainer::out_of_patience() const {
  return hyperparameters_.patience > 0 && evaluations_since_best_ >= hyperparameters_.patience;
}

TrainingResult Trainer::run(const TrainingSurroundings& surroundings) {
  surroundings_ = surroundings;
  last_checkpoint_ = Clock::now();
  const LoaderPosition start = position_.step < plan_.steps() ? position_ : LoaderPosition{position_.epoch + 1, 0};
  Loader loader(*train_.dataset, order(), plan_, context_.host.rank(), hyperparameters_.precision,
                static_cast<int>(hyperparameters_.loader_threads), start, Loader::kAhead,
                Prefetcher::buffers_for(context_.device));
  Prefetcher inputs(loader, train_.dataset->shape(), hyperparameters_.precision, context_.device,
                    context_.communicator);
  bool done = total_steps_ == evaluated_step_ || out_of_patience();
  while (!done && !stopped_) {
    const auto epoch_start = Clock::now();
    const std::int64_t samples_before = trained_samples_;
    train_epoch(inputs);
    const double seconds = seconds_since(epoch_start);
    training_seconds_ += seconds;
    if (stopped_) break;
    done = global_step_ == total_steps_;
    if (((position_.epoch + 1) % hyperparameters_.eval_every == 0 || done) && evaluated_step_ != global_step_) {
      evaluate(static_cast<double>(trained_samples_ - samples_before) / seconds);
      if (stopped_) break;
      done |= out_of_patience();
    }
    if (position_.step == plan_.steps()) {
      position_ = {position_.epoch + 1, 0};
      epoch_loss_ = 0;
      epoch_samples_ = 0;
    }
    if (checkpoint_due_) save_checkpoint();
  }
  require_finite_state();
  if (surroundings_.checkpoints) save_checkpoint();
  if (stopped_) average_running_statistics(program_, samples_since_average_, context_.communicator, context_.host);
  if (!stopped_ && global_step_ > 0 && step_.loss_scale() && step_.loss_scale()->overflows() == global_step_) {
    throw CollectiveError(kExitRankFailed, "nothing was trained: the gradients of all " + std::to_string(global_step_) +
                                               " steps overflowed in fp16; try a smaller loss_scale or precision=bf16");
  }
  double wait = loader.seconds_waited();
  context_.host.all_reduce(&wait, 1, DataType::kFloat64, ReduceOp::kMax)->wait();

  step_.drain();
  const bool best = best_.has_value();
  // The user's graph may ask for views that only the usual order of memory has.
  TrainingResult result{.program = (best ? *best_ : inference_program_).on(c10::Device(c10::kCPU)).row_major(),
                        .epochs = position_.epoch + (position_.step > 0 ? 1 : 0),
                        .steps = global_step_,
                        .state_step = best ? best_step_ : global_step_,
                        .evaluated_channel = evaluation_ ? evaluation_->channel : "",
                        .evaluation = best ? best_evaluation_ : last_evaluation_,
                        .training_seconds = training_seconds_,
                        .loss_scale = step_.loss_scale(),
                        .captured = step_.captured(),
                        .stopped = stopped_,
                        .saved = surroundings_.checkpoints != nullptr};
  if (training_seconds_ > 0) {
    result.samples_per_second = static_cast<double>(trained_samples_) / training_seconds_;
    result.data_wait_share = wait / training_seconds_;
  }
  return result;
}

// From where the epoch stands to its end, the job's last step, or the step after which the ranks stop.
void Trainer::train_epoch(Prefetcher& inputs) {
  std::deque<Progress> started;
  const auto finish_step = [&] {
    Progress progress = started.front();
    started.pop_front();
    const LoaderPosition position{progress.epoch - 1, progress.step - 1};
    TrainingStep::Result result;
    try {
      result = step_.finish();
    } catch (const NotFiniteError& error) {
      throw CollectiveError(kExitRankFailed, error.what() + cause_of(error, position));
    }
    if (result.skipped) {
      // No loss scale mends data.
      const std::string bad = find_bad_sample(position);
      if (!bad.empty())
        throw CollectiveError(kExitRankFailed, "step " + std::to_string(progress.global_step) + ": " + bad);
    }
    progress.loss = result.loss;
    stopped_ |= result.stop;
    checkpoint_due_ |= result.save;
    if (!result.skipped) {
      epoch_loss_ += result.loss * static_cast<double>(progress.batch_size);
      epoch_samples_ += progress.batch_size;
    }
    if (!surroundings_.reporter) return;
    surroundings_.reporter->progress(progress);
    if (result.skipped) {
      surroundings_.reporter->note("step " + std::to_string(progress.global_step) +
                                   " is skipped: its gradient overflowed; the loss scale is now " +
                                   format("%g", step_.loss_scale()->value()));
    }
  };
  // While the device computes a step the host enqueues the next; but a loss scale must be known before its step.
  const std::size_t in_flight = context_.device.asynchronous() && !step_.loss_scale() ? kStepsInFlight : 0;
  const int ranks = context_.host.size();
  const std::int64_t interval = surroundings_.checkpoints ? hyperparameters_.checkpoint_every.steps : 0;
  const auto going_on = [&] { return position_.step < plan_.steps() && global_step_ < total_steps_ && !stopped_; };
  while (going_on()) {
    const std::int64_t step = position_.step;
    const std::int64_t batch_size = plan_.batch(step).size();
    const double learning_rate = schedule_.learning_rate(global_step_);
    step_.start(inputs, {.batch_size = batch_size,
                         .global_step = global_step_,
                         .learning_rate = learning_rate,
                         .stop = surroundings_.stop_requested(),
                         .save = wants_checkpoint(),
                         .full = batch_size == hyperparameters_.batch_size && batch_size % ranks == 0 &&
                                 plan_.micro_batches(step, 0).size() == 1});
    ++global_step_;
    ++position_.step;
    trained_samples_ += batch_size;
    samples_since_average_ += plan_.slice(step, context_.host.rank()).size();
    started.push_back({.epoch = position_.epoch + 1,
                       .epochs = hyperparameters_.epochs,
                       .step = position_.step,
                       .steps = plan_.steps(),
                       .total_steps = total_steps_,
                       .global_step = global_step_,
                       .batch_size = batch_size,
                       .loss = 0,
                       .learning_rate = learning_rate});
    while (started.size() > in_flight) finish_step();
    report_capture_failure();
    checkpoint_due_ |= interval > 0 && global_step_ % interval == 0;
    if (!checkpoint_due_) continue;
    while (!started.empty()) finish_step();
    // The epoch's last comes after its evaluation.
    if (going_on()) save_checkpoint();
  }
  while (!started.empty()) finish_step();
}

Order Trainer::order() const { return Order(hyperparameters_.seed, train_.dataset->size(), hyperparameters_.shuffle); }

// What the data of a step has that is not finite, on whichever rank; "" when it has nothing. A collective.
std::string Trainer::find_bad_sample(const LoaderPosition& position) {
  const Slice slice = plan_.slice(position.step, context_.host.rank());
  std::vector<std::int64_t> samples;
  for (std::int64_t i = slice.begin; i < slice.end; ++i) samples.push_back(order()(position.epoch, i));
  const std::string found = find_not_finite(*train_.dataset, samples, hyperparameters_.precision, context_.host);
  return found.empty() ? "" : not_finite_data(train_.channel, found);
}

// Looks where it may be: in the step's data, in the state before the step, in the gradient. A collective.
std::string Trainer::cause_of(const NotFiniteError& error, const LoaderPosition& position) {
  step_.drain();
  if (const std::string bad = find_bad_sample(position); !bad.empty()) return "; " + bad;
  for (const StateTensor& entry : program_.state()) {
    if (entry.kind != InputKind::kParameter) continue;
    const std::string found = find_not_finite(entry.tensor);
    if (!found.empty()) return "; before it, " + entry.name + found + "; " + advice(error);
  }
  std::string place;
  if (error.parameter()) {
    // A step that was enqueued meanwhile may have written over it.
    const std::string found = find_not_finite(parameters_.gradients()[*error.parameter()]);
    if (!found.empty()) place = " (" + parameters_.plan().names()[*error.parameter()] + found + ")";
  }
  return place + "; " + advice(error);
}

std::string Trainer::advice(const NotFiniteError& error) const {
  if (step_.loss_scale()) return "float16 ends at 65504, and no loss scale helps any more. Try precision=bf16";
  const std::string look =
      "look for a root, a norm, a logarithm or a division of 0 in the program, or for an exponential, and at the size "
      "of its inputs (input_mean, input_std)";
  if (error.step() == 0) return "its data is finite, and nothing has been learnt yet: " + look;
  std::string text = "training has diverged. Try a lower learning_rate";
  if (hyperparameters_.warmup_steps == 0) text += ", warmup_steps";
  if (hyperparameters_.clip_norm == 0) text += ", clip_norm";
  return error.finite_loss() ? text + "; or " + look : text;
}

// Gradients are looked at in each step; what came of them before it can be saved or become the best state. A
// collective.
void Trainer::require_finite_state() {
  if (finite_step_ == global_step_) return;
  step_.drain();
  require_all_ok(context_.host, [&] {
    const auto end = [&](const std::string& what, const std::string& advice) {
      throw Error(kExitRankFailed, "after step " + std::to_string(global_step_) + ", " + what +
                                       ", and nothing of that state is saved; " + advice);
    };
    if (const auto bad = parameters_.first_not_finite(parameters_.flat_parameters())) {
      end("the parameter " + parameters_.plan().names()[*bad] + find_not_finite(parameters_.parameters()[*bad]),
          "training has diverged: an update was too large for the number's type. Try a lower learning_rate");
    }
    for (const OptimizerState& state : optimizer_->state()) {
      const auto bad = parameters_.first_not_finite(state.values);
      if (!bad) continue;
      const std::string name = state.name + "/" + parameters_.plan().names()[*bad];
      end("the optimizer's " + name + find_not_finite(optimizer_tensors(*optimizer_, parameters_).at(name)),
          "a gradient was too large for it. Try clip_norm, or make the loss smaller (targets of the order of 1)");
    }
    if (const std::string found = find_not_finite(program_.running_statistics()); !found.empty()) {
      end("the statistic " + found, "what its layer is given is not finite or too large; look at what comes before it");
    }
  });
  finite_step_ = global_step_;
}

// The loss alone need not matter: what is monitored must be a number.
void Trainer::require_finite(const Evaluation& evaluation) {
  if (std::isfinite(evaluation.loss)) return;
  const std::string found = find_not_finite(*evaluation_->dataset, hyperparameters_.precision, context_.host);
  const std::string what = "after step " + std::to_string(global_step_) + ", " +
                           not_finite_loss(evaluation_->channel, evaluation.loss, found);
  if (!found.empty() && !std::isfinite(evaluation.metric(hyperparameters_.monitor.metric))) {
    throw CollectiveError(kExitRankFailed, what);
  }
  if (surroundings_.reporter) surroundings_.reporter->note("WARNING: " + what);
}

void Trainer::report_capture_failure() {
  if (step_.capture_failure().empty() || capture_failure_reported_) return;
  capture_failure_reported_ = true;
  if (surroundings_.reporter) {
    surroundings_.reporter->note("steps run without a CUDA graph, which is slower for small programs: " +
                                 step_.capture_failure());
  }
}

bool Trainer::improves(const Evaluation& evaluation) const {
  if (!best_evaluation_) return true;
  const Monitor& monitor = hyperparameters_.monitor;
  const double now = evaluation.metric(monitor.metric);
  const double best = best_evaluation_->metric(monitor.metric);
  if (std::isnan(now) || std::isnan(best)) return !std::isnan(now);  // anything is better than no number
  return monitor.maximize ? now > best : now < best;
}

void Trainer::evaluate(double samples_per_second) {
  average_running_statistics(program_, samples_since_average_, context_.communicator, context_.host);
  samples_since_average_ = 0;
  require_finite_state();
  Metrics metrics;
  const double train_loss = epoch_loss_ / static_cast<double>(epoch_samples_);
  if (std::isfinite(train_loss)) metrics.emplace_back("train_loss", train_loss);
  metrics.emplace_back("train_samples_per_second", samples_per_second);
  if (evaluation_) {
    std::optional<Evaluation> evaluation;
    step_.beside([&] { evaluation = evaluator_.evaluate(*evaluation_->dataset, surroundings_.stop_requested); });
    if (!evaluation) {
      stopped_ = true;
      return;
    }
    require_finite(*evaluation);
    std::ranges::copy(evaluation->metrics(evaluation_->channel), std::back_inserter(metrics));
    last_evaluation_ = evaluation;
    if (improves(*evaluation)) {
      best_evaluation_ = evaluation;
      best_step_ = global_step_;
      evaluations_since_best_ = 0;
      if (hyperparameters_.artifact_state == ArtifactState::kBest) best_ = inference_program_.clone();
    } else {
      ++evaluations_since_best_;
    }
  }
  evaluated_step_ = global_step_;
  if (Reporter* reporter = surroundings_.reporter) {
    reporter->metrics("epoch", position_.epoch + 1, global_step_, metrics);
    if (out_of_patience()) {
      reporter->note("stopping early: " + hyperparameters_.monitor.metric + " has not improved in " +
                     std::to_string(evaluations_since_best_) + " evaluations (patience)");
    }
  }
}

}  // namespace lockstep

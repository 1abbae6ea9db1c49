#include "engine/train/Trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <iterator>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/EvalForm.h"
#include "engine/program/Passes.h"
#include "engine/train/ParameterStorage.h"
#include "engine/train/RunningStatistics.h"

namespace lockstep {

namespace {

constexpr std::int64_t kSmallestDefaultEvalBatch = 256;
constexpr int kBatchesAhead = 4;

std::vector<at::Tensor> tensors_of(const std::vector<StateTensor>& entries) {
  std::vector<at::Tensor> tensors;
  for (const StateTensor& entry : entries) tensors.push_back(entry.tensor);
  return tensors;
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
      executor_(program_),
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
                 static_cast<int>(hyperparameters.loader_threads), context.host) {}

MemoryUse Trainer::memory() {
  const auto bytes = [](const at::Tensor& tensor) { return static_cast<std::int64_t>(tensor.nbytes()); };
  MemoryUse use{.parameters = bytes(parameters_.flat_parameters()), .gradients = bytes(parameters_.flat_gradients())};
  for (const OptimizerState& state : optimizer_->state()) use.optimizer += bytes(state.values);
  return use;
}

TrainingResult Trainer::run(Reporter* reporter) {
  reporter_ = reporter;
  Loader loader(*train_.dataset, Order(hyperparameters_.seed, train_.dataset->size(), hyperparameters_.shuffle), plan_,
                context_.host.rank(), hyperparameters_.precision, static_cast<int>(hyperparameters_.loader_threads), {},
                kBatchesAhead, Prefetcher::buffers_for(context_.device));
  Prefetcher inputs(loader, train_.dataset->shape(), hyperparameters_.precision, context_.device);
  std::int64_t epoch = 0;
  bool done = total_steps_ == 0;
  for (; !done; ++epoch) {
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t samples_before = trained_samples_;
    const double loss = train_epoch(inputs, epoch);
    const double seconds = seconds_since(start);
    training_seconds_ += seconds;
    done = global_step_ == total_steps_;
    if ((epoch + 1) % hyperparameters_.eval_every == 0 || done) {
      done |= evaluate(epoch, loss, static_cast<double>(trained_samples_ - samples_before) / seconds);
    }
  }
  if (global_step_ > 0 && step_.loss_scale() && step_.loss_scale()->overflows() == global_step_) {
    throw CollectiveError(kExitRankFailed, "nothing was trained: the gradients of all " + std::to_string(global_step_) +
                                               " steps overflowed in fp16; try a smaller loss_scale or precision=bf16");
  }
  double wait = loader.seconds_waited();
  context_.host.all_reduce(&wait, 1, DataType::kFloat64, ReduceOp::kMax)->wait();

  const bool best = best_.has_value();
  // The user's graph may ask for views that only the usual order of memory has.
  TrainingResult result{.program = (best ? *best_ : inference_program_).clone().row_major(),
                        .epochs = epoch,
                        .steps = global_step_,
                        .state_step = best ? best_step_ : global_step_,
                        .evaluated_channel = evaluation_ ? evaluation_->channel : "",
                        .evaluation = best ? best_evaluation_ : last_evaluation_,
                        .training_seconds = training_seconds_,
                        .loss_scale = step_.loss_scale(),
                        .captured = step_.captured()};
  if (training_seconds_ > 0) {
    result.samples_per_second = static_cast<double>(trained_samples_) / training_seconds_;
    result.data_wait_share = wait / training_seconds_;
  }
  return result;
}

// Returns the mean of the epoch's step losses, weighted by their samples; without those that were skipped (NaN: all).
double Trainer::train_epoch(Prefetcher& inputs, std::int64_t epoch) {
  double loss = 0;
  std::int64_t samples = 0;
  std::int64_t samples_with_loss = 0;
  std::deque<Progress> started;
  const auto finish_step = [&] {
    Progress progress = started.front();
    started.pop_front();
    const TrainingStep::Result result = step_.finish();
    progress.loss = result.loss;
    if (!result.skipped) {
      loss += result.loss * static_cast<double>(progress.batch_size);
      samples_with_loss += progress.batch_size;
    }
    if (!reporter_) return;
    reporter_->progress(progress);
    if (result.skipped) {
      reporter_->note("step " + std::to_string(progress.global_step) +
                      " is skipped: its gradient overflowed; the loss scale is now " +
                      format("%g", step_.loss_scale()->value()));
    }
  };
  // While the device computes a step the host enqueues the next; but a loss scale must be known before its step.
  const std::size_t in_flight = context_.device.asynchronous() && !step_.loss_scale() ? 1 : 0;
  const int ranks = context_.host.size();
  for (std::int64_t step = 0; step < plan_.steps() && global_step_ < total_steps_; ++step) {
    const std::int64_t batch_size = plan_.batch(step).size();
    const double learning_rate = schedule_.learning_rate(global_step_);
    step_.start(inputs, {.batch_size = batch_size,
                         .global_step = global_step_,
                         .learning_rate = learning_rate,
                         .full = batch_size == hyperparameters_.batch_size && batch_size % ranks == 0 &&
                                 plan_.micro_batches(step, 0).size() == 1});
    ++global_step_;
    samples += batch_size;
    samples_since_average_ += plan_.slice(step, context_.host.rank()).size();
    started.push_back({.epoch = epoch + 1,
                       .epochs = hyperparameters_.epochs,
                       .step = step + 1,
                       .steps = plan_.steps(),
                       .total_steps = total_steps_,
                       .global_step = global_step_,
                       .batch_size = batch_size,
                       .loss = 0,
                       .learning_rate = learning_rate});
    while (started.size() > in_flight) finish_step();
    report_capture_failure();
  }
  while (!started.empty()) finish_step();
  trained_samples_ += samples;
  return loss / static_cast<double>(samples_with_loss);
}

void Trainer::report_capture_failure() {
  if (step_.capture_failure().empty() || capture_failure_reported_) return;
  capture_failure_reported_ = true;
  if (reporter_) {
    reporter_->note("steps run without a CUDA graph, which is slower for small programs: " + step_.capture_failure());
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

// Returns whether training should end early.
bool Trainer::evaluate(std::int64_t epoch, double train_loss, double samples_per_second) {
  average_running_statistics(program_, samples_since_average_, context_.communicator, context_.host);
  samples_since_average_ = 0;
  Metrics metrics;
  if (std::isfinite(train_loss)) metrics.emplace_back("train_loss", train_loss);
  metrics.emplace_back("train_samples_per_second", samples_per_second);
  bool stop = false;
  if (evaluation_) {
    const Evaluation evaluation = evaluator_.evaluate(*evaluation_->dataset);
    std::ranges::copy(evaluation.metrics(evaluation_->channel), std::back_inserter(metrics));
    last_evaluation_ = evaluation;
    if (improves(evaluation)) {
      best_evaluation_ = evaluation;
      best_step_ = global_step_;
      evaluations_since_best_ = 0;
      if (hyperparameters_.artifact_state == ArtifactState::kBest) best_ = inference_program_.clone();
    } else {
      ++evaluations_since_best_;
    }
    stop = hyperparameters_.patience > 0 && evaluations_since_best_ >= hyperparameters_.patience;
  }
  if (reporter_) {
    reporter_->metrics("epoch", epoch + 1, global_step_, metrics);
    if (stop) {
      reporter_->note("stopping early: " + hyperparameters_.monitor.metric + " has not improved in " +
                      std::to_string(evaluations_since_best_) + " evaluations (patience)");
    }
  }
  return stop;
}

}  // namespace lockstep

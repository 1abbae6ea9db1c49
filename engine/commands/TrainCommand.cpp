#include "engine/commands/TrainCommand.h"

#include <malloc.h>

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "common/Error.h"
#include "common/FailureFile.h"
#include "common/File.h"
#include "common/RankStatus.h"
#include "common/Text.h"
#include "engine/artifacts/Artifact.h"
#include "engine/checkpoint/Checkpoint.h"
#include "engine/checkpoint/CheckpointSharing.h"
#include "engine/checkpoint/ResumeChoice.h"
#include "engine/collectives/Agreement.h"
#include "engine/collectives/Alarm.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/collectives/PeerWatch.h"
#include "engine/commands/RankDevice.h"
#include "engine/data/IdxDataset.h"
#include "engine/data/SyntheticDataset.h"
#include "engine/device/PeakFlops.h"
#include "engine/program/Archive.h"
#include "engine/program/BatchStatistics.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "engine/program/Flops.h"
#include "engine/program/TorchError.h"
#include "engine/report/Reporter.h"
#include "engine/train/FittingSamples.h"
#include "engine/train/Forward.h"
#include "engine/train/MicroBatchTensors.h"
#include "engine/train/NotFinite.h"
#include "engine/train/ParameterStorage.h"
#include "engine/train/Prefetcher.h"
#include "engine/train/StopSignal.h"
#include "engine/train/Trainer.h"
#include "job/JobConfig.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMaxJobFile = 64 << 20;
constexpr std::int64_t kProbeSamples = 16;
// Of a built-in model on few samples: a label beyond is a number of another kind.
constexpr std::int64_t kMostClasses = 65536;
constexpr double kTera = 1e12;
constexpr std::chrono::seconds kForTheWatch(1);

double in_mib(std::int64_t bytes) { return static_cast<double>(bytes) / (1024 * 1024); }

/// Everything a rank loads before it trains.
class RankJob {
 public:
  RankJob(JobConfig config, RankContext context, const MpiSession& session, const StopSignal& stop)
      : config_(std::move(config)), context_(context), session_(session), stop_(stop) {}

  /// Reads and checks all inputs of this rank; no collectives. Throws InputError for what cannot be used.
  void load();
  /// What all ranks must have in common.
  std::vector<std::pair<std::string, std::string>> identity() const;
  /// A collective. Returns the exit code: training ran to its end, or stopped on request. No error has exit code 2 once
  /// training has begun: that code says that nothing was started.
  ExitCode run();
  /// After `run`: whether it was the latter.
  bool stopped() const { return stopped_; }

 private:
  using Clock = std::chrono::steady_clock;

  const Hyperparameters& options() const { return config_.hyperparameters; }
  c10::Device place() const { return context_.device.place(); }
  bool leads() const { return context_.host.rank() == 0; }
  void load_channels();
  std::unique_ptr<Dataset> load_channel(const std::string& channel) const;
  Program load_program(const SampleShape& shape) const;
  void fit_data();
  std::vector<Probe> probes(const Program& inference) const;
  void check_fit(const Program& rewritten, const Program& inference, const std::vector<Probe>& probes);
  void check_shares(const Program& rewritten);
  const std::string& probed_channel() const {
    return evaluation_channel_.empty() ? train_channel_ : evaluation_channel_;
  }
  at::Tensor first_inputs(std::int64_t count) const;
  Rows header_rows() const;
  void add_arithmetic(const TrainingResult& result, Metrics& metrics, Rows& rows) const;
  void open_checkpoints();
  void restore(const CheckpointDirectory& checkpoints);
  ExitCode finish(TrainingResult result);
  bool too_late_for_artifacts(const TrainingResult& result) const;

  JobConfig config_;
  RankContext context_;
  const MpiSession& session_;
  const StopSignal& stop_;
  bool stopped_ = false;
  Clock::time_point start_ = Clock::now();
  std::string train_channel_;
  std::string evaluation_channel_;
  std::string test_channel_;  ///< evaluated once, at the end
  std::map<std::string, std::unique_ptr<Dataset>> datasets_;
  std::optional<Program> program_;
  std::string program_digest_;
  std::optional<BucketPlan> buckets_;
  std::unique_ptr<Reporter> reporter_;
  fs::path metrics_path_;
  std::unique_ptr<Trainer> trainer_;
  std::optional<CheckpointDirectory> checkpoints_;
};

std::string channel_names(const JobConfig& config) {
  std::vector<std::string> names;
  for (const auto& [name, path] : config.channels) names.push_back(name);
  return names.empty() ? "there is none" : "there is " + join(names, ", ");
}

void RankJob::load() {
  if (options().data == Data::kSynthetic) {
    train_channel_ = "synthetic";
    const BuiltinOptions defaults;
    program_ = load_program({.input = defaults.input_shape, .classes = defaults.classes});
    datasets_[train_channel_] = std::make_unique<SyntheticDataset>(fitting_samples(program_->graph(), options().loss),
                                                                   options().synthetic_samples, options().seed);
  } else {
    load_channels();
    const Dataset& data = *datasets_.at(train_channel_);
    if (is_builtin_program(options().model)) {
      data.require_classes(std::max(kMostClasses, data.size()),
                           "a built-in model has an output for every number from 0 to the largest label, and at most " +
                               with_commas(kMostClasses) + " or as many as the channel has samples");
    }
    program_ = load_program(data.shape());
    fit_data();
  }
  program_digest_ = program_->digest();
  if (const std::string found = find_not_finite(trained_state(*program_)); !found.empty()) {
    throw InputError("the program " + program_->name() + " cannot be trained: its " + found);
  }
  const Program inference = program_->with_graph(eval_form(program_->graph()));
  const std::vector<Probe> probed = probes(inference);  // before anything relies on what the graph says of its values
  if (evaluation_channel_.empty() && options().patience > 0) {
    throw InputError("hyperparameter patience does nothing in this job: there is no channel named validation or test");
  }
  // Of the graph that will run: a pass may change the order in which parameters are used.
  const Program rewritten = Trainer::rewritten(*program_, options()).on(place());
  buckets_ = make_bucket_plan(options(), rewritten);
  check_fit(rewritten, inference, probed);
  check_shares(rewritten);
  if (leads()) {
    // Found out now, not after training; nothing of an earlier job is touched before the ranks agree.
    for (const fs::path& written :
         {config_.output_dir, config_.model_dir, config_.output_data_dir, config_.checkpoint_dir}) {
      if (!written.empty()) StagingDirectory writable(written);
    }
  }
  std::optional<NamedDataset> evaluation;
  if (!evaluation_channel_.empty()) {
    evaluation = {evaluation_channel_, datasets_.at(evaluation_channel_).get()};
  }
  trainer_ =
      std::make_unique<Trainer>(options(), *program_, rewritten, *buckets_,
                                NamedDataset{train_channel_, datasets_.at(train_channel_).get()}, evaluation, context_);
}

void RankJob::load_channels() {
  const auto has = [&](const char* name) { return config_.channels.contains(name); };
  if (!has("train") && !has("training")) {
    throw InputError("no data to train on: a channel named train (or training) is needed; " + channel_names(config_));
  }
  train_channel_ = has("train") ? "train" : "training";
  if (has("validation")) evaluation_channel_ = "validation";
  if (has("test")) (evaluation_channel_.empty() ? evaluation_channel_ : test_channel_) = "test";
  for (const std::string& channel : {train_channel_, evaluation_channel_, test_channel_}) {
    if (!channel.empty()) datasets_[channel] = load_channel(channel);
  }
}

std::unique_ptr<Dataset> RankJob::load_channel(const std::string& channel) const {
  return std::make_unique<IdxDataset>(config_.channels.at(channel),
                                      Normalization{options().input_mean, options().input_std},
                                      options().loss == Loss::kMse);
}

// Pictures of one channel may come with a dimension for it or without.
void RankJob::fit_data() {
  const Graph& graph = program_->graph();
  const auto stated = graph.find_sizes(graph.user_inputs().at(0)->value);
  if (!stated || stated->empty()) return;
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 1; i < stated->size(); ++i) {
    const auto* size = std::get_if<std::int64_t>(&(*stated)[i]);
    if (!size) return;  // of any size
    sizes.push_back(*size);
  }
  for (const auto& [channel, dataset] : datasets_) dataset->fit_inputs(sizes);
}

// `shape`: what a built-in program is built to.
Program RankJob::load_program(const SampleShape& shape) const {
  const at::ScalarType type = options().precision == Precision::kFp64 ? at::kDouble : at::kFloat;
  if (!is_builtin_program(options().model)) {
    Program program = read_archive(options().model, options().allow_operators).to(type);
    if (program.graph().outputs.empty()) throw InputError("the program returns nothing");
    if (const std::size_t inputs = program.graph().user_inputs().size(); inputs != 1) {
      throw InputError("the program takes " + std::to_string(inputs) + " inputs; the data gives it one");
    }
    return program;
  }
  const std::int64_t width = shape.class_labels ? shape.classes : shape.target_numbers();
  return build_builtin_program(options().model, {.input_shape = shape.input,
                                                 .classes = width,
                                                 .channels = options().model_channels,
                                                 .hidden = options().model_hidden,
                                                 .batch_norm = options().model_norm == Norm::kBatch,
                                                 .dropout = options().model_dropout,
                                                 .seed = options().seed})
      .to(type);
}

std::vector<Probe> RankJob::probes(const Program& inference) const {
  try {
    return make_probes(inference, {first_inputs(2)}, /*check_sizes=*/true);
  } catch (const InputError& error) {
    throw InputError("channel " + probed_channel() + " does not fit the program " + program_->name() + ": " +
                     error.what());
  }
}

// Runs one sample of every channel through the inference form: a program that does not take this data, or does not
// return what the loss needs, is refused before anything starts.
void RankJob::check_fit(const Program& rewritten, const Program& inference, const std::vector<Probe>& probes) {
  Executor executor(rewritten.with_graph(eval_form(rewritten.graph())));
  for (const auto& [channel, dataset] : datasets_) {
    try {
      const BatchPlan one(1, 1, 0, 1);
      Loader loader(*dataset, Order(0, 1, false), one, 0, options().precision, 1);
      const DeviceBatch batch =
          Prefetcher(loader, dataset->shape(), options().precision, context_.device, context_.communicator).next();
      const at::Tensor output = forward(executor, batch.inputs, options().precision);
      if (options().loss == Loss::kCrossEntropy && output.dim() == batch.targets.dim() + 1) {
        const std::int64_t classes = output.size(-1);
        dataset->require_classes(classes, "the program has " + std::to_string(classes) + " classes");
      }
      Objective(options().loss, options().label_smoothing).sum(output, batch.targets);
      if (!output.requires_grad()) throw InputError("no gradient flows from its output to any parameter");
      if (options().monitor.metric == "top5" && output.size(-1) < 5) {
        throw InputError("monitor=top5 needs at least 5 classes, not " + std::to_string(output.size(-1)));
      }
    } catch (const InputError& error) {
      throw InputError("channel " + channel + " does not fit the program " + program_->name() + ": " + error.what());
    }
  }
  for (const Export format : options().export_formats) make_artifact(format)->check(inference, probes);
}

// The nearest batch_size that leaves every rank more samples at once; nothing when none near by does.
std::optional<std::int64_t> larger_shares(const Hyperparameters& options, const Dataset& train, int ranks,
                                          const Share& share) {
  constexpr std::int64_t kFar = 256;
  Hyperparameters other = options;
  for (std::int64_t change = 1; change < kFar; ++change) {
    for (const std::int64_t size : {options.batch_size + change, options.batch_size - change}) {
      if (size < ranks) continue;
      other.batch_size = size;
      const BatchPlan plan = Trainer::batch_plan(other, train, ranks);
      if (plan.smallest_share(Trainer::total_steps(other, plan)).samples > share.samples) return size;
    }
  }
  return std::nullopt;
}

// Runs the smallest share of any step forward as it will be trained: what normalizes by the statistics of its batch
// needs more than one number for each, and the last step of an epoch is no time to find out that it has not.
void RankJob::check_shares(const Program& rewritten) {
  if (std::ranges::none_of(rewritten.graph().nodes,
                           [](const Node& node) { return batch_statistics(node).has_value(); }))
    return;
  const Dataset& dataset = *datasets_.at(train_channel_);
  const int ranks = context_.host.size();
  const BatchPlan plan = Trainer::batch_plan(options(), dataset, ranks);
  const Share share = plan.smallest_share(Trainer::total_steps(options(), plan));
  std::vector<std::pair<at::Tensor, at::Tensor>> buffers;
  for (const StateTensor& entry : rewritten.state()) {
    if (entry.kind == InputKind::kBuffer) buffers.emplace_back(entry.tensor, entry.tensor.clone());
  }
  Executor executor(rewritten, /*trains=*/true);
  const BatchPlan one(share.samples, share.samples, 0, 1);
  Loader loader(dataset, Order(0, share.samples, false), one, 0, options().precision, 1);
  const DeviceBatch batch =
      Prefetcher(loader, dataset.shape(), options().precision, context_.device, context_.communicator).next();
  try {
    forward(executor, batch.inputs, options().precision);
  } catch (const SingleValueError& error) {
    if (!error.over_batch()) throw;
    const auto better = larger_shares(options(), dataset, ranks, share);
    throw InputError("step " + std::to_string(share.step + 1) + " of an epoch gives rank " +
                     std::to_string(share.rank) + " a share of " + std::to_string(share.samples) +
                     (share.samples == 1 ? " sample" : " samples") + ", and " + error.what() +
                     (better ? ". With batch_size=" + std::to_string(*better) + " no share is so small"
                             : ". Give a larger batch_size or micro_batch_size, or fewer ranks"));
  }
  const c10::NoGradGuard no_grad;
  for (const auto& [buffer, before] : buffers) buffer.copy_(before);
}

std::vector<std::pair<std::string, std::string>> RankJob::identity() const {
  nlohmann::json hyperparameters = to_json(options());
  for (const char* own : {"ranks_per_host", "threads_per_rank", "loader_threads", "secret_file"}) {
    hyperparameters.erase(own);
  }
  std::vector<std::pair<std::string, std::string>> items = {{"Lockstep version", LOCKSTEP_VERSION},
                                                            {"libtorch version", TORCH_VERSION},
                                                            {"program", program_digest_},
                                                            {"bucket plan", buckets_->digest()}};
  for (const auto& [name, value] : hyperparameters.items()) items.emplace_back("hyperparameter " + name, value.dump());
  for (const auto& [channel, dataset] : datasets_) items.emplace_back("data of channel " + channel, dataset->digest());
  return items;
}

Rows RankJob::header_rows() const {
  const int ranks = context_.host.size();
  const BatchPlan plan = Trainer::batch_plan(options(), *datasets_.at(train_channel_), ranks);
  Rows rows = {
      {"lockstep", std::string(LOCKSTEP_VERSION) + (config_.job_name.empty() ? "" : ", job " + config_.job_name)},
      {"ranks", std::to_string(ranks) + " on " +
                    (session_.hosts() > 1 ? std::to_string(session_.hosts()) + " hosts, led by " : "") + config_.host +
                    ", " + context_.device.description()},
      {"program", program_->name() + ", " + with_commas(program_->parameter_count()) + " parameters, " +
                      to_string(options().precision)},
      {"buckets",
       std::to_string(buckets_->buckets().size()) + " of at most " + format("%g MiB", options().bucket_cap_mb)}};
  for (const auto& [channel, dataset] : datasets_) {
    rows.emplace_back(
        "data " + channel,
        with_commas(dataset->size()) + " samples of " + join(dataset->shape().input, "×") +
            (dataset->shape().vocabulary > 0 ? " tokens of " + std::to_string(dataset->shape().vocabulary) : "") +
            (dataset->shape().class_labels ? ", " + std::to_string(dataset->shape().classes) + " classes" : ""));
  }
  rows.emplace_back("training",
                    with_commas(Trainer::total_steps(options(), plan)) + " steps of " +
                        std::to_string(options().batch_size) + " samples, " + to_string(options().optimizer) +
                        format(", learning rate %g (", options().learning_rate) + to_string(options().schedule) + ")");
  const MemoryUse memory = trainer_->memory();
  rows.emplace_back("memory",
                    format("parameters %.1f MiB, gradients %.1f MiB, optimizer %.1f MiB on each rank; activations",
                           in_mib(memory.parameters), in_mib(memory.gradients), in_mib(memory.optimizer)) +
                        " come on top");
  rows.emplace_back("evaluation", evaluation_channel_.empty()
                                      ? "none: no channel named validation or test"
                                      : "on " + evaluation_channel_ + ", best by " + options().monitor.metric);
  rows.emplace_back("artifacts", options().export_formats.empty() ? "none" : config_.model_dir.string());
  rows.emplace_back("checkpoints", config_.checkpoint_dir.empty() ? "none" : config_.checkpoint_dir.string());
  rows.emplace_back("metrics", metrics_path_.string());
  return rows;
}

ExitCode RankJob::run() {
  if (leads()) {
    MetricsFile metrics(config_.output_data_dir);
    metrics_path_ = metrics.path();
    reporter_ = std::make_unique<Reporter>(stdout, config_.terminal, options().log_every, std::move(metrics));
    reporter_->header(header_rows());
    if (const Node* node = find_inference_node(program_->graph())) {
      reporter_->note(
          "WARNING: " + describe(*node) +
          " is in its inference form: the program seems to be exported from model.eval(); export model.train()");
    }
  }
  if (!config_.checkpoint_dir.empty()) open_checkpoints();
  try {
    return finish(trainer_->run({.reporter = reporter_.get(),
                                 .checkpoints = checkpoints_ ? &*checkpoints_ : nullptr,
                                 .stop_requested = [this] { return stop_.requested(); }}));
  } catch (const CollectiveError& error) {
    if (error.exit_code() != kExitBadInput) throw;
    throw CollectiveError(kExitRankFailed, error.what());
  } catch (const InputError& error) {
    throw Error(kExitRankFailed, error.what());
  }
}

void RankJob::open_checkpoints() {
  JobItems job = items_of(options());
  for (const auto& [channel, dataset] : datasets_) job["data of channel " + channel] = dataset->digest();
  job["program"] = program_digest_;
  checkpoints_.emplace(config_.checkpoint_dir, std::move(job));
  if (leads()) checkpoints_->remove_leftovers();
  restore(*checkpoints_);
}

void RankJob::restore(const CheckpointDirectory& checkpoints) {
  const bool wanted = options().resume == Resume::kAuto;
  std::optional<Checkpoint> found;
  const auto check = [&](std::int64_t step) {
    if (!wanted) return;
    found.reset();  // a large one need not be there twice
    const std::string path = checkpoints.path_of(step).string();
    Checkpoint read = read_checkpoint(path);
    try {
      if (read.state.step != step) {
        throw InputError("it was written after step " + std::to_string(read.state.step) + " and renamed since");
      }
      trainer_->check(read);
    } catch (const InputError& error) {
      throw InputError(path + ": " + error.what());
    }
    found = std::move(read);
  };
  std::optional<BroughtCheckpoint> brought;
  if (wanted) {
    brought = bring_checkpoint(context_.host, checkpoints, check, session_.first_rank_on_this_host());
  }
  const ResumeChoice choice = choose_checkpoint(context_.host, checkpoints, check);
  const auto note = [&](const std::string& text) {
    if (leads()) reporter_->note(text);
  };
  if (brought) {
    note("checkpoint " + checkpoint_name(brought->step) + " was brought to " + std::to_string(brought->hosts) +
         (brought->hosts == 1 ? " host" : " hosts") + " that did not have it");
  }
  if (wanted) {
    for (const std::string& passed : choice.passed_over) note("checkpoint passed over: " + passed);
  } else if (choice.step) {
    note("starting anew (resume=never); this job's checkpoints in " + checkpoints.path().string() +
         " give way to the first new one");
  }
  if (!wanted || !choice.step) return;
  const fs::path path = checkpoints.path_of(*choice.step);
  std::vector<std::string> not_removed;
  require_all_ok(context_.host, [&] {
    try {
      trainer_->restore(*found);
    } catch (const InputError& error) {
      throw InputError(path.string() + ": " + error.what());
    }
    // Rank 0 does so in its own directory when it writes the next one.
    if (brought && brought->here) not_removed = checkpoints.keep_newest(options().checkpoint_keep, *choice.step);
  });
  for (const std::string& text : not_removed) {
    std::printf("lockstep: WARNING: %s: older checkpoints take up room: %s\n", config_.host.c_str(), text.c_str());
  }
  note("resumed from " + path.string() + ": " + with_commas(*choice.step) + " steps are done");
}

bool RankJob::too_late_for_artifacts(const TrainingResult& result) const {
  return result.stopped && result.saved && stop_.half_over();  // they are left to the next run
}

at::Tensor RankJob::first_inputs(std::int64_t count) const {
  const Dataset& dataset = *datasets_.at(probed_channel());
  count = std::min(count, dataset.size());
  Loader loader(dataset, Order(0, dataset.size(), false), BatchPlan(count, count, 0, 1), 0, options().precision, 1);
  return input_tensor(loader.next(), dataset.shape(), options().precision).clone();
}

// Model FLOP utilisation: the arithmetic that the program needs, whatever was computed, beside what the card can do.
void RankJob::add_arithmetic(const TrainingResult& result, Metrics& metrics, Rows& rows) const {
  double flops = 0;
  try {
    flops = training_flops(program_->graph(), 1) * result.samples_per_second / context_.host.size();
  } catch (const InputError&) {
    return;  // the graph does not say its sizes
  }
  metrics.emplace_back("tflops_per_rank", flops / kTera);
  std::string text = format("%.3g TFLOP/s on each rank", flops / kTera);
  const std::string card = context_.device.card();
  if (const auto peak = peak_flops(card, options().precision, options().tf32)) {
    metrics.emplace_back("mfu", flops / *peak);
    text += format(", %.1f %% of what %s can do in ", 100 * flops / *peak, card.c_str()) +
            to_string(options().precision) + format(" (%.4g)", *peak / kTera);
  }
  rows.emplace_back("arithmetic", text);
}

ExitCode RankJob::finish(TrainingResult result) {
  Metrics metrics;
  if (result.evaluation) metrics = result.evaluation->metrics(result.evaluated_channel);
  // The other ranks wait for rank 0 to write: all leave together, and all know whether it went well.
  std::vector<fs::path> artifacts;
  require_all_ok(context_.host, [&] {
    if (!leads() || too_late_for_artifacts(result)) return;
    artifacts = write_artifacts(result.program, options().export_formats, config_.model_dir,
                                make_probes(result.program, {first_inputs(1), first_inputs(kProbeSamples)}));
  });
  if (!test_channel_.empty() && !result.stopped) {
    Evaluator evaluator(context_.device, Trainer::rewritten(result.program, options()).on(place()),
                        Objective(options().loss, options().label_smoothing), options().precision,
                        Trainer::eval_batch_size(options(), context_.host.size()),
                        static_cast<int>(options().loader_threads), context_.communicator, context_.host);
    std::optional<Evaluation> test;
    trainer_->beside(
        [&] { test = evaluator.evaluate(*datasets_.at(test_channel_), [this] { return stop_.requested(); }); });
    if (test) std::ranges::copy(test->metrics(test_channel_), std::back_inserter(metrics));
    if (test && !std::isfinite(test->loss)) {
      const std::string found = find_not_finite(*datasets_.at(test_channel_), options().precision, context_.host);
      if (leads()) reporter_->note("WARNING: " + not_finite_loss(test_channel_, test->loss, found));
    }
  }
  stopped_ = result.stopped;
  const bool kept = !result.stopped || result.saved || !options().export_formats.empty();
  const ExitCode code = kept ? kExitDone : kExitNotSaved;
  // A launcher of ours knows which signal it was.
  if (!kept && config_.status_file.empty()) {
    write_failure_file(config_.output_dir, "the job was asked to stop after step " + with_commas(result.steps) +
                                               ", and nothing was saved: it has no checkpoint directory, or could "
                                               "not write there, and export=none");
  }
  if (!leads()) return code;
  Rows rows;
  if (result.stopped) {
    reporter_->note("stopped on request after step " + with_commas(result.steps) +
                    (result.saved ? "; the checkpoint is complete"
                     : kept       ? "; there is no checkpoint directory: only artifacts are kept"
                                  : "; nothing is kept: there is no checkpoint directory, and export=none"));
  }
  for (const auto& [name, value] : metrics) rows.emplace_back(name, format("%.4f", value));
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  metrics.emplace_back("samples_per_second", result.samples_per_second);
  metrics.emplace_back("data_wait_share", result.data_wait_share);
  metrics.emplace_back("seconds", seconds);
  rows.emplace_back("state", "after step " + with_commas(result.state_step) + " of " + with_commas(result.steps));
  rows.emplace_back("throughput", with_commas(std::llround(result.samples_per_second)) + " samples/s while training");
  add_arithmetic(result, metrics, rows);
  reporter_->metrics("final", result.epochs, result.state_step, metrics);
  if (context_.device.asynchronous()) {
    rows.emplace_back("steps", result.captured ? "replayed from a CUDA graph" : "each enqueued anew");
  }
  if (result.loss_scale) {
    rows.emplace_back("loss scale", format("%g at the end; ", result.loss_scale->value()) +
                                        with_commas(result.loss_scale->overflows()) + " steps skipped");
  }
  rows.emplace_back("memory", format("%.1f MiB at most on rank 0", in_mib(context_.device.peak_memory())));
  rows.emplace_back("data wait", format("%.1f %% of training time", 100 * result.data_wait_share));
  rows.emplace_back("time", format("%.1f s, of which training %.1f s", seconds, result.training_seconds));
  for (const fs::path& artifact : artifacts) {
    rows.emplace_back("artifact", artifact.string() + ", " +
                                      with_commas(static_cast<long long>(bytes_below(artifact))) +
                                      " bytes, read back and compared");
  }
  reporter_->summary(rows);
  return code;
}

void report_failure(const JobConfig& config, const std::string& message) {
  std::fprintf(stderr, "lockstep: error: %s\n", message.c_str());
  std::fflush(stderr);
  write_failure_file(config.output_dir, message);
}

// Whether a launcher of ours watches the ranks, and stops them.
bool is_launched(const JobConfig& config) { return !config.status_file.empty(); }

int run_rank(const JobConfig& config, const StopSignal& stop) {
  // Steps allocate the same sizes again and again: memory that went back to the system would come back page by page.
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  at::set_num_threads(static_cast<int>(config.threads));
  at::set_num_interop_threads(1);
  const auto fail = [&](const std::string& message) { report_failure(config, message); };
  const double patience = config.hyperparameters.hosts_timeout;
  std::optional<Alarm> alarm(std::in_place, std::chrono::duration<double>(patience), [&] {
    fail("a rank on " + config.host + ": MPI has not started within " + format("%g", patience) +
         " s: not all ranks have come, or their hosts cannot reach each other's ports; look for a rank that has "
         "ended, and for a firewall between the hosts");
    std::_Exit(kExitRankFailed);
  });
  MpiSession session;
  // For GPUs it only carries what the host must know.
  MpiCommunicator communicator(
      session, config.gpus > 0 ? MpiMode::kInline
                               : choose_mpi_mode(static_cast<int>(config.cores), session.ranks_on_this_host(),
                                                 static_cast<int>(config.threads)));
  const auto report = [&](RankStatus status) {
    if (communicator.rank() == 0) report_status(config.status_file, status);
  };
  bool launched = false;
  std::optional<PeerWatch> watch;
  const auto watch_each_other = [&] {
    watch.emplace(communicator, config.host, [&](const PeerWatch::Loss& loss) {
      if (loss.to_tell) std::fprintf(stderr, "lockstep: error: %s\n", loss.reason.c_str());
      write_failure_file(config.output_dir, loss.reason);
      std::_Exit(loss.exit_code);
    });
    if (communicator.rank() > 0 || watch->unwatched().empty()) return;
    std::printf(
        "lockstep: WARNING: %zu ranks cannot connect to rank 0 by TCP; if one of them is killed, the others may "
        "wait for it for ever\n",
        watch->unwatched().size());
  };
  const std::string me = "rank " + std::to_string(communicator.rank()) + " on " + config.host + ": ";
  const auto end_all = [&](const std::string& why, int code) {
    fail(me + why);
    if (watch) watch->tell(me + why, code);
    communicator.abort(code);
    return code;
  };
  // Outside: a rank that fails alone must end the others before it waits for its GPU, or for them to leave theirs.
  std::optional<RankDevice> device;
  std::optional<RankJob> job;
  try {
    // By ssh, only the ranks of the launcher's own host know of it.
    launched = communicator.all_gather(is_launched(config) ? "1" : "0").front() == "1";
    if (!launched) watch_each_other();
    alarm.reset();
    report(RankStatus::kListening);
    if (config.announced_ranks > 0 && config.announced_ranks != communicator.size()) {
      // Each would train the whole job and write the same artifacts.
      fail(std::to_string(config.announced_ranks) + " ranks were started, but MPI sees " +
           std::to_string(communicator.size()) +
           ": start them with the mpirun of the OpenMPI that lockstep-rank links, or with "
           "srun --mpi=pmix");
      return kExitBadInput;
    }
    device.emplace(config, session, communicator);
    job.emplace(config, device->context(), session, stop);
    require_all_ok(communicator, [&] {
      try {
        job->load();
      } catch (const c10::Error& error) {
        rethrow(error, "the job cannot be set up");
      }
    });
    require_agreement(communicator, job->identity());
    const ExitCode code = job->run();
    communicator.barrier();
    const bool stopped = code == kExitDone && job->stopped();
    if (code == kExitDone) report(stopped ? RankStatus::kStopped : RankStatus::kEnded);
    return stopped && !launched ? static_cast<int>(config.hyperparameters.exit_code_when_stopped) : code;
  } catch (const CollectiveError& error) {
    // Said once, and written on every host.
    communicator.rank() == 0 ? fail(error.what()) : void(write_failure_file(config.output_dir, error.what()));
    communicator.barrier();
    return error.exit_code();
  } catch (const PeerError& error) {
    // What has befallen the peer says more than what MPI or NCCL says of it.
    if (watch) std::this_thread::sleep_for(kForTheWatch);
    return end_all(error.what(), error.exit_code());
  } catch (const Error& error) {
    return end_all(error.what(), error.exit_code());
  } catch (const std::bad_alloc&) {
    return end_all(OutOfMemoryError("an allocation failed").what(), kExitRankFailed);
  } catch (const c10::Error& error) {
    try {
      rethrow(error, "training failed");
    } catch (const InputError& unclassified) {
      return end_all(unclassified.what(), kExitInternal);
    } catch (const Error& known) {
      return end_all(known.what(), known.exit_code());
    }
  } catch (const std::exception& error) {
    return end_all(error.what(), kExitInternal);
  }
}

}  // namespace

int train_command(const fs::path& job_file) {
  const JobConfig config = read_job_config(read_file(job_file, kMaxJobFile));
  const StopSignal stop(is_launched(config));
  try {
    return run_rank(config, stop);
  } catch (const Error& error) {
    report_failure(config, "a rank on " + config.host + ": " + error.what());
    return error.exit_code();
  } catch (const std::exception& error) {
    report_failure(config, "a rank on " + config.host + ": " + error.what());
    return kExitInternal;
  }
}

}  // namespace lockstep

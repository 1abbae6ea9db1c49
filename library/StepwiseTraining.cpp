#include "library/StepwiseTraining.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "common/Version.h"
#include "engine/artifacts/ModelDirectory.h"
#include "engine/collectives/Agreement.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/Passes.h"
#include "engine/program/TorchError.h"
#include "engine/session/FirstSamples.h"
#include "engine/session/FitChecks.h"
#include "engine/session/FrozenParameters.h"
#include "engine/session/InitialWeights.h"
#include "engine/session/JobIdentity.h"
#include "engine/session/MadeUpProbes.h"
#include "engine/session/ProgramInputs.h"
#include "engine/session/Resume.h"
#include "engine/session/SetUpPhase.h"
#include "engine/train/CheckpointKeeper.h"
#include "engine/train/Diagnosis.h"
#include "engine/train/EvaluationKeeper.h"
#include "engine/train/Forward.h"
#include "engine/train/ParameterStorage.h"
#include "job/BuiltinChoices.h"
#include "library/Arrays.h"
#include "library/JobsAlone.h"
#include "library/OwnLoss.h"
#include "library/OwnOptimizer.h"

namespace lockstep {

namespace {

constexpr std::int64_t kProbeSamples = 16;
constexpr std::int64_t kNoEnd = std::numeric_limits<std::int64_t>::max();

Hyperparameters hyperparameters_of(const v1::Options& options) {
  const RawHyperparameters raw(options.hyperparameters.begin(), options.hyperparameters.end());
  const bool channels = !options.channels.empty();
  refuse_those_of_jobs(raw, channels);
  if (!raw.contains("model")) throw InputError("give the hyperparameter model: a .pt2 file, or a built-in program");
  Hyperparameters parsed = parse_hyperparameters(raw);
  if (parsed.precision == Precision::kAuto) {
    throw InputError("precision=auto measures steps of a job: give fp32 or bf16");
  }
  if (!raw.contains("export")) parsed.export_formats = {Export::kPt2, Export::kSafetensors};
  if (parsed.schedule == "plateau") {
    throw InputError("schedule=plateau follows a job's evaluations: call set_learning_rate in its place");
  }
  if (!channels && parsed.max_steps == 0 && builtin_choice(builtin_schedules(), parsed.schedule).has_end) {
    throw InputError("schedule=" + parsed.schedule + " depends on the last step: give max_steps");
  }
  if (options.loss && raw.contains("loss"))
    throw InputError("there is a loss of the caller's: leave the hyperparameter loss out");
  if (options.optimizer && raw.contains("optimizer")) {
    throw InputError("there is an optimizer of the caller's: leave the hyperparameter optimizer out");
  }
  if (options.loss) parsed.loss = kOwnLoss;
  if (options.optimizer) parsed.optimizer = kOwnOptimizer;
  // What calls back cannot be captured.
  if (options.loss || options.optimizer) parsed.cuda_graph = false;
  return parsed;
}

Registries registries_of(const v1::Options& options) {
  Registries registries;
  if (options.loss) {
    registries.losses.add(
        {.name = kOwnLoss, .make = [function = options.loss](const Hyperparameters&, const c10::Device&) {
           return make_own_loss(function);
         }});
  }
  return registries;
}

std::vector<std::int64_t> all_of(Communicator& host, const std::vector<std::int64_t>& own) {
  std::vector<std::int64_t> all(own.size() * static_cast<std::size_t>(host.size()));
  host.all_gather(own.data(), all.data(), own.size(), DataType::kInt64)->wait();
  return all;
}

void require_same_sizes(const std::string& name, const at::Tensor& tensor, const at::Tensor& array) {
  if (tensor.sizes() == array.sizes()) return;
  throw InputError(name + " has the sizes [" + join(tensor.sizes().vec(), ", ") + "], and the array [" +
                   join(array.sizes().vec(), ", ") + "]");
}

v1::Metrics metrics_of(const Evaluation& evaluation) { return evaluation.values(); }

}  // namespace

void StepwiseTraining::Notes::note(const Note& event) {
  if (tell_) tell_(event.text, event.warning);
}

void StepwiseTraining::Notes::checkpoint_saved(const CheckpointSaved& event) {
  if (!event.not_pruned.empty()) {
    note({.text = "older checkpoints take up room: " + join(event.not_pruned, "; "), .warning = true});
  }
}

StepwiseTraining::StepwiseTraining(const v1::Options& options)
    : hyperparameters_(hyperparameters_of(options)),
      notes_(options),
      rank_(options.communicator, hyperparameters_, notes_),
      context_(rank_.context()) {
  if (!context_.leads()) notes_.silence();
  load(options);
  set_up_phase(context_.host, [&] { make_model(options); });
  require_agreement(context_.host, rank_identity(hyperparameters_, *job_, model_->parameters().plan()));
  if (context_.leads() && !job_->weights.empty()) notes_.note({.text = job_->weights});
}

void StepwiseTraining::load(const v1::Options& options) {
  const Registries registries = registries_of(options);
  if (options.channels.empty()) {
    set_up_phase(context_.host, [&] { load_alone(options, registries); });
    return;
  }
  JobConfig config;
  config.host = rank_.host();
  config.hyperparameters = hyperparameters_;
  for (const auto& [name, directory] : options.channels) config.channels[name] = directory;
  job_ = load_job(config, registries, context_);
}

// What load_job does for a program without data.
void StepwiseTraining::load_alone(const v1::Options& options, const Registries& registries) {
  Objective objective =
      make_objective(hyperparameters_, context_.device.place(), registries.losses, registries.metrics);
  std::optional<Program> program;
  if (is_builtin_program(hyperparameters_.model)) {
    BuiltinOptions sizes = builtin_options(hyperparameters_);
    if ((options.input_shape.empty() && sizes.length == 0) || options.classes <= 0) {
      throw InputError("model=" + hyperparameters_.model +
                       " is built for data: give input_shape, the sizes of one sample, and classes, the width of its "
                       "output; or the channel train");
    }
    sizes.input_shape = sizes.length > 0 ? std::vector{sizes.length} : options.input_shape;
    sizes.classes = options.classes;
    program = build_builtin_program(hyperparameters_.model, sizes).to(type_of_program(hyperparameters_));
  } else {
    program = read_program(hyperparameters_);
  }
  objective.see(program->graph().output_names());
  std::string weights = load_initial_weights(hyperparameters_, *program);
  freeze_parameters(*program, hyperparameters_.freeze);
  job_.emplace(LoadedJob{.objective = std::move(objective),
                         .data = {},
                         .program = LoadedProgram(std::move(*program)),
                         .weights = std::move(weights)});
}

void StepwiseTraining::make_model(const v1::Options& options) {
  const Program& program = job_->program.program;
  hyperparameters_.precision = precision_for(program, hyperparameters_, options.hyperparameters.contains("precision"));
  Program rewritten = apply_passes(program, hyperparameters_.passes).on(context_.device.place());
  BucketPlan buckets = make_bucket_plan(hyperparameters_, rewritten, context_.host.size());
  check_fit(rewritten);
  std::vector<OptimizerKind> optimizers = built_in_optimizers();
  if (options.optimizer) optimizers.push_back(own_optimizer(options.optimizer, buckets));
  model_ = std::make_unique<TrainedModel>(hyperparameters_, program, std::move(rewritten), std::move(buckets), context_,
                                          optimizers);
  std::int64_t end = hyperparameters_.max_steps > 0 ? hyperparameters_.max_steps : kNoEnd;
  if (!job_->data.train.empty()) {
    channel_.emplace(hyperparameters_, *job_->data.training().samples, context_);
    end = channel_->plan().total_steps;
  }
  schedule_.emplace(hyperparameters_, end);
  steps_ = std::make_unique<StepQueue>(hyperparameters_, job_->objective, *model_, context_);
}

// What can be found out before the first step.
void StepwiseTraining::check_fit(const Program& rewritten) {
  if (job_->data.train.empty()) {
    check_artifacts(*job_, hyperparameters_,
                    make_probes(job_->program.inference, made_up_probes(job_->program.inference)));
    return;
  }
  check_artifacts(*job_, hyperparameters_, probe_program(*job_));
  check_channels(*job_, rewritten, hyperparameters_, context_);
  check_deterministic(*job_, rewritten, hyperparameters_, context_);
  check_shares(*job_, rewritten, hyperparameters_, context_);
  const ProgramSamples& samples = *job_->data.training().samples;
  if (samples.size() > 0) probe_ = first_inputs(samples, kProbeSamples);
}

ProgramSamples StepwiseTraining::samples_of(const v1::Batch& batch, std::optional<Shards> shards) const {
  const Graph& graph = job_->program.program.graph();
  ColumnOptions columns = column_options(hyperparameters_, job_->objective.loss());
  columns.names.clear();
  columns.targets = columns.targets && (batch.targets || hyperparameters_.loss != kOwnLoss);
  if (batch.targets) columns.names[kTargetColumn] = MemoryDataset::kTarget;
  if (batch.weights) columns.names[kWeightColumn] = MemoryDataset::kWeight;
  if (!columns.targets && (batch.targets || batch.weights)) {
    throw InputError("the batch has targets or weights, and nothing compares the program's outputs with them");
  }
  const std::vector<ProgramInput> inputs = program_inputs(graph);
  return {std::make_shared<MemoryDataset>(batch, inputs, std::move(shards)), inputs, columns};
}

// A rank that cannot make a step, or evaluate, must say so before the others wait for it.
void StepwiseTraining::require_fit(ProgramSamples& samples, bool alone) {
  if (!fit_) fit_.emplace(*job_, *model_, hyperparameters_, context_);
  steps_->beside([&] { fit_->require(samples, alone); });
}

// A collective. What ranks learn from each other of a step. Throws CollectiveError when one cannot take part.
TrainingStep::Step StepwiseTraining::agree(const MemoryBatches* batches, std::exception_ptr failure) {
  std::int64_t own = 0;
  std::int64_t micro_batches = 0;
  for (const Batch& batch : batches != nullptr ? batches->batches() : std::vector<Batch>()) {
    own += batch.size;
    if (batch.size > 0) ++micro_batches;
  }
  const std::vector<std::int64_t> told = all_of(context_.host, {failure ? 1 : 0, own, micro_batches});
  TrainingStep::Step step{.full = true};
  std::vector<std::int64_t> sizes;
  bool failed = false;
  std::int64_t most = 0;
  for (std::size_t i = 0; i < told.size(); i += 3) {
    failed |= told[i] != 0;
    step.batch_size += sizes.emplace_back(told[i + 1]);
    most = std::max(most, told[i + 2]);
    step.full &= told[i + 2] == 1 && sizes.back() == sizes.front();
  }
  if (failed) {
    require_all_ok(context_.host, [&] {
      if (failure) std::rethrow_exception(failure);
    });
  }
  if (step.batch_size == 0) throw CollectiveError(kExitBadInput, "no rank has a sample for this step");
  if (job_->objective.loss().of_whole_batch() && most > 1) {
    throw CollectiveError(kExitBadInput, "loss=" + hyperparameters_.loss +
                                             " compares each sample of a step with all others: leave out "
                                             "micro_batch_size, or give a step fewer samples");
  }
  step.idle = most - micro_batches;
  if (full_sizes_.empty() && step.full) full_sizes_ = sizes;
  step.full &= sizes == full_sizes_;
  return step;
}

void StepwiseTraining::require_end_ahead() const {
  const std::int64_t end = channel_ ? kNoEnd : hyperparameters_.max_steps;
  if (end > 0 && global_step_ >= end) {
    throw CollectiveError(kExitBadInput, "max_steps=" + std::to_string(end) + ": all of them are done");
  }
}

v1::StepResult StepwiseTraining::step(const v1::Batch& batch) {
  require_end_ahead();
  std::optional<MemoryBatches> batches;
  std::exception_ptr failure;
  try {
    if (channel_) throw InputError("steps are those of the channel train: call step without a batch");
    if (batch.inputs.empty() && !batch.targets && !batch.weights) {
      batches.emplace();
    } else {
      ProgramSamples samples = samples_of(batch);
      batches.emplace(samples, hyperparameters_.micro_batch_size, context_.device.place());
      require_fit(samples, /*alone=*/batches->fewest() == 1);
    }
  } catch (const Error&) {
    failure = std::current_exception();
  }
  const TrainingStep::Step step = agree(batches ? &*batches : nullptr, failure);
  if (probe_.empty()) remember(batches->batches());
  const std::int64_t own = lockstep::samples_of(batch);
  return run(*batches, step, own);
}

std::optional<v1::StepResult> StepwiseTraining::step() {
  if (!channel_) throw InputError("there is no channel train: give a batch, or name the channel's directory");
  if (global_step_ >= channel_->plan().total_steps) return std::nullopt;
  const std::int64_t own = channel_->own_samples();
  const v1::StepResult result = run(channel_->batches(), channel_->next_step(), own);
  channel_->done();
  return result;
}

// The first samples that this rank sees: artifacts are compared by them.
void StepwiseTraining::remember(const std::vector<Batch>& batches) {
  const Batch& first = batches.front();
  for (const at::Tensor& input : first.inputs) {
    probe_.push_back(input.narrow(0, 0, std::min(first.size, kProbeSamples)).to(at::kCPU).clone());
  }
}

v1::StepResult StepwiseTraining::run(BatchSource& batches, TrainingStep::Step step, std::int64_t own_samples) {
  step.global_step = global_step_;
  step.learning_rate = learning_rate_ ? *learning_rate_ : schedule_->learning_rate(global_step_);
  steps_->start(batches, step, {});
  const TrainingStep::Result result = steps_->finish();
  model_->trained_on(own_samples);
  ++global_step_;
  return {.step = global_step_,
          .batch_size = step.batch_size,
          .loss = result.loss,
          .learning_rate = step.learning_rate,
          .skipped = result.skipped,
          .weightless = result.weightless};
}

void StepwiseTraining::set_learning_rate(std::optional<double> learning_rate) {
  if (learning_rate && !(std::isfinite(*learning_rate) && *learning_rate >= 0)) {
    throw InputError("a learning rate is a number ≥ 0, not " + format("%g", *learning_rate));
  }
  learning_rate_ = learning_rate;
}

v1::Metrics StepwiseTraining::evaluate(const v1::Batch& batch) {
  const int rank = context_.host.rank();
  std::vector<Shards::Holding> holdings;
  std::int64_t all = 0;
  for (const std::int64_t samples : all_of(context_.host, {lockstep::samples_of(batch)})) {
    holdings.push_back({.host = static_cast<int>(holdings.size()), .samples = std::max<std::int64_t>(samples, 0)});
    all += holdings.back().samples;
  }
  std::optional<ProgramSamples> samples;
  require_all_ok(context_.host, [&] {
    if (all == 0) throw InputError("no rank has a sample to evaluate");
    samples = samples_of(batch, Shards(holdings));
    if (samples->size() != holdings[static_cast<std::size_t>(rank)].samples) {
      throw InputError("the arrays of the batch do not begin with the number of samples");
    }
    require_fit(*samples, /*alone=*/false);
  });
  return measure(*samples);
}

v1::Metrics StepwiseTraining::evaluate(const std::string& channel) {
  const auto found = job_->data.samples.find(channel);
  if (found == job_->data.samples.end()) {
    std::vector<std::string> names;
    for (const auto& [name, samples] : job_->data.samples) names.push_back(name);
    throw InputError("no channel is named " + in_quotes(channel) + "; there is " +
                     (names.empty() ? "none" : join(names, ", ")));
  }
  return measure(found->second);
}

v1::Metrics StepwiseTraining::measure(const ProgramSamples& samples) {
  model_->average_statistics();
  if (!evaluator_) {
    evaluator_.emplace(make_evaluator(hyperparameters_, job_->objective, model_->judged_inference(), context_));
  }
  std::optional<Evaluation> evaluation;
  steps_->beside([&] { evaluation = evaluator_->evaluate(samples, [] { return false; }); });
  return metrics_of(*evaluation);
}

template <typename Use>
void StepwiseTraining::with_outputs(const std::vector<v1::ArrayView>& inputs, const Use& use) {
  const std::vector<ProgramInput> taken = program_inputs(job_->program.program.graph());
  ColumnOptions columns = column_options(hyperparameters_, job_->objective.loss());
  columns.names.clear();
  columns.targets = false;
  const v1::Batch batch = {.inputs = inputs, .targets = {}, .weights = {}};
  const ProgramSamples samples(std::make_shared<MemoryDataset>(batch, taken), taken, columns);
  if (samples.size() == 0) throw InputError("there is no sample to predict for");
  const MemoryBatches batches(samples, 0, context_.device.place());
  if (!predictor_) predictor_.emplace(model_->judged_inference());
  steps_->beside([&] {
    const c10::NoGradGuard no_grad;
    use(forward(*predictor_, batches.batches().front().inputs, hyperparameters_.precision));
  });
}

std::vector<v1::Array> StepwiseTraining::predict(const std::vector<v1::ArrayView>& inputs) {
  std::vector<v1::Array> arrays;
  with_outputs(inputs, [&](const std::vector<at::Tensor>& outputs) {
    for (const at::Tensor& output : outputs) arrays.push_back(array_of(output));
  });
  return arrays;
}

void StepwiseTraining::predict(const std::vector<v1::ArrayView>& inputs,
                               const std::vector<v1::MutableArrayView>& into) {
  const std::vector<std::string> names = job_->program.program.graph().output_names();
  if (into.size() != names.size()) {
    throw InputError("the program returns " + join(names, ", ") + ", and there are " + std::to_string(into.size()) +
                     " arrays for that");
  }
  with_outputs(inputs, [&](const std::vector<at::Tensor>& outputs) {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const at::Tensor array = tensor_of(into[i], names[i]);
      require_same_sizes("the output " + names[i], outputs[i], array);
      array.copy_(outputs[i]);
    }
  });
}

std::vector<v1::TensorInfo> StepwiseTraining::tensors() const {
  const Program& program = model_->program();
  std::set<const void*> trained;
  for (const StateTensor& entry : program.trained_parameters()) trained.insert(entry.tensor.unsafeGetTensorImpl());
  std::vector<v1::TensorInfo> infos;
  for (const StateTensor& entry : program.state()) {
    if (!entry.in_state_dict) continue;
    infos.push_back({.name = entry.name,
                     .type = array_type(entry.tensor.scalar_type()),
                     .sizes = entry.tensor.sizes().vec(),
                     .trained = trained.contains(entry.tensor.unsafeGetTensorImpl())});
  }
  return infos;
}

at::Tensor StepwiseTraining::tensor_named(const std::string& name) const {
  std::vector<std::string> names;
  for (const StateTensor& entry : model_->program().state()) {
    if (entry.in_state_dict && entry.name == name) return entry.tensor;
    names.push_back(entry.name);
  }
  const std::string meant = nearest(name, names);
  throw InputError("the program has no tensor named " + in_quotes(name) +
                   (meant.empty() ? "" : "; did you mean " + meant + "?"));
}

void StepwiseTraining::read(const std::string& name, const v1::MutableArrayView& into) const {
  const at::Tensor tensor = tensor_named(name);
  const at::Tensor array = tensor_of(into, name);
  require_same_sizes("the tensor " + name, tensor, array);
  array.copy_(tensor.detach());
}

void StepwiseTraining::write(const std::string& name, const v1::ArrayView& from) {
  const at::Tensor tensor = tensor_named(name);
  const at::Tensor array = tensor_of(from, name);
  require_same_sizes("the tensor " + name, tensor, array);
  tensor.detach().copy_(array);
}

void StepwiseTraining::check(const SavedCheckpoint& checkpoint) {
  const CheckpointState& state = checkpoint.state;
  if (channel_) {
    channel_->check(state.position, state.step);
    if (state.step > channel_->plan().total_steps) throw InputError("it is of a step beyond the end");
  }
  model_->check(checkpoint);
  schedule_->check(state.plateau);
  if (state.loss_scale && !(std::isfinite(state.loss_scale->value) && state.loss_scale->value > 0)) {
    throw InputError(format("its loss scale is %g", state.loss_scale->value));
  }
}

void StepwiseTraining::restore(const SavedCheckpoint& checkpoint) {
  const CheckpointState& state = checkpoint.state;
  model_->restore(checkpoint);
  if (state.loss_scale && steps_->loss_scale()) {
    steps_->set_loss_scale(LossScale(*state.loss_scale, hyperparameters_.loss_scale_growth_interval));
  }
  if (channel_) channel_->restore(state.position);
  global_step_ = state.step;
}

Snapshot StepwiseTraining::take_snapshot() {
  Checkpoint checkpoint{.state = {.step = global_step_,
                                  .position = channel_ ? channel_->position() : LoaderPosition{0, global_step_},
                                  .job = checkpoint_identity(hyperparameters_, *job_)},
                        .model = {},
                        .optimizer = {},
                        .statistics = {},
                        .best = {}};
  if (steps_->loss_scale()) checkpoint.state.loss_scale = steps_->loss_scale()->state();
  model_->save(checkpoint, context_.leads());
  return Snapshot(std::move(checkpoint));
}

void StepwiseTraining::save(const std::filesystem::path& directory) {
  require_finite_state(*model_, context_.host, global_step_);
  const CheckpointDirectory checkpoints(directory, checkpoint_identity(hyperparameters_, *job_));
  CheckpointKeeper keeper(hyperparameters_, &checkpoints, context_, notes_);
  keeper.save(global_step_, 0, CheckpointKeeper::Training::kWaits, [this] { return take_snapshot(); });
  keeper.require_saved();
}

std::optional<std::int64_t> StepwiseTraining::resume(const std::filesystem::path& directory) {
  const CheckpointDirectory checkpoints(directory, checkpoint_identity(hyperparameters_, *job_));
  if (context_.leads()) checkpoints.remove_leftovers();
  JobConfig config;
  config.host = rank_.host();
  config.hyperparameters = hyperparameters_;
  return lockstep::resume(config, checkpoints, *this, context_, notes_);
}

std::vector<std::filesystem::path> StepwiseTraining::export_model(const std::filesystem::path& directory) {
  model_->average_statistics();
  require_finite_state(*model_, context_.host, global_step_);
  std::vector<std::filesystem::path> artifacts;
  require_all_ok(context_.host, [&] {
    if (!context_.leads()) return;
    // The user's graph may ask for views that only the usual order of memory has.
    const Program program = model_->judged_inference().on(c10::Device(c10::kCPU)).row_major();
    std::vector<Probe::Inputs> probes = made_up_probes(program);
    BesideArtifacts beside = {.job = {{"step", global_step_},
                                      {"hyperparameters", to_json(hyperparameters_)},
                                      {"ranks", context_.host.size()},
                                      {"versions", {{"lockstep", kLockstepVersion}, {"libtorch", TORCH_VERSION}}}},
                              .probes = probes,
                              .metadata = {{"step", std::to_string(global_step_)}}};
    if (!probe_.empty()) probes = {probe_};
    if (probes.empty()) throw InputError("there is nothing to compare artifacts by: train a step before");
    artifacts =
        write_artifacts(program, hyperparameters_.export_formats, directory, make_probes(program, probes), beside);
  });
  return artifacts;
}

}  // namespace lockstep

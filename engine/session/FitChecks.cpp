#include "engine/session/FitChecks.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/artifacts/ModelDirectory.h"
#include "engine/data/columnar/ParquetOutput.h"
#include "engine/objective/MeasuredBatch.h"
#include "engine/program/BatchStatistics.h"
#include "engine/program/EvalForm.h"
#include "engine/program/Executor.h"
#include "engine/program/Recomputation.h"
#include "engine/program/TorchError.h"
#include "engine/session/FirstSamples.h"
#include "engine/session/JobFacts.h"
#include "engine/session/KeptBuffers.h"
#include "engine/session/TrialStep.h"
#include "engine/train/Forward.h"
#include "engine/train/TrainingPlan.h"

namespace lockstep {

namespace {

// `measured_samples`: of which metrics are measured.
void check_channel(ProgramSamples& samples, std::int64_t measured_samples, Executor& executor,
                   const Objective& objective, Precision precision, const RankContext& context) {
  const Batch batch = first_batch(samples, 1, context);
  const std::vector<at::Tensor> outputs = forward(executor, batch.inputs, precision);
  const at::Tensor& output = outputs.at(objective.seen().output);
  require_targets(samples, objective.loss(), classes_of(output, batch.targets, objective.loss()));
  const MeasuredBatch measured = objective.measure(outputs, batch.targets, batch.weights, batch.size);
  if (!output.requires_grad()) throw InputError("no gradient flows from its output to any parameter");
  objective.require_measurable(measured, measured_samples);
}

Share smallest_share(const Hyperparameters& hyperparameters, const ProgramSamples& train, int ranks) {
  const TrainingPlan plan(hyperparameters, train.shards(ranks));
  return hyperparameters.sync_batch_norm ? plan.batches.smallest_together(plan.total_steps)
                                         : plan.batches.smallest_share(plan.total_steps);
}

// The nearest batch_size that leaves every rank more samples at once; nothing when none near by does.
std::optional<std::int64_t> larger_shares(const Hyperparameters& hyperparameters, const ProgramSamples& train,
                                          int ranks, const Share& share) {
  constexpr std::int64_t kFar = 256;
  if (train.dataset()->shards()) return std::nullopt;  // all steps would have to be looked at, for every size
  Hyperparameters other = hyperparameters;
  for (std::int64_t change = 1; change < kFar; ++change) {
    for (const std::int64_t size : {hyperparameters.batch_size + change, hyperparameters.batch_size - change}) {
      if (size < ranks) continue;
      other.batch_size = size;
      if (smallest_share(other, train, ranks).samples > share.samples) return size;
    }
  }
  return std::nullopt;
}

InputError too_small(const Share& share, const SingleValueError& error, std::optional<std::int64_t> better) {
  const std::string who = share.rank < 0 ? "all ranks together" : "rank " + std::to_string(share.rank);
  return InputError("step " + std::to_string(share.step + 1) + " of an epoch gives " + who + " a share of " +
                    std::to_string(share.samples) + (share.samples == 1 ? " sample" : " samples") + ", and " +
                    error.what() +
                    (better ? ". With batch_size=" + std::to_string(*better) + " no share is so small"
                            : ". Give a larger batch_size or micro_batch_size, or fewer ranks"));
}

// A loss over the whole batch needs all of a step at once.
void require_one_micro_batch(const LoadedJob& job, const Hyperparameters& hyperparameters, int ranks) {
  if (!job.objective.loss().of_whole_batch()) return;
  const std::string loss = "loss=" + hyperparameters.loss + " compares each sample of a step with all others";
  if (hyperparameters.eval_batch_size > 0) {
    throw InputError("eval_batch_size does nothing in this job: " + loss +
                     ", and evaluates batch_size samples of all ranks at once; leave it out");
  }
  const TrainingPlan plan(hyperparameters, job.data.training().samples->shards(ranks));
  for (std::int64_t step = 0; step < std::min(plan.total_steps, plan.batches.steps()); ++step) {
    if (plan.batches.most_micro_batches(step) <= 1) continue;
    throw InputError(loss + ": a rank has to run its share of a step at once, and step " + std::to_string(step + 1) +
                     " has more than micro_batch_size=" + std::to_string(hyperparameters.micro_batch_size) +
                     " samples on one; leave it out, and save memory by recompute=all or more ranks");
  }
}

}  // namespace

std::vector<Probe> probe_program(const LoadedJob& job) {
  const NamedDataset data = job.data.probed();
  try {
    return make_probes(job.program.inference, {first_inputs(*data.samples, 2)}, /*check_sizes=*/true);
  } catch (const InputError& error) {
    throw does_not_fit(data.channel, job.program.program, error);
  }
}

std::optional<std::int64_t> classes_of(const at::Tensor& output, const at::Tensor& targets, const Loss& loss) {
  if (!loss.class_labels() || output.dim() != targets.dim() + 1) return std::nullopt;
  return output.size(-1);
}

void require_targets(ProgramSamples& samples, const Loss& loss, std::optional<std::int64_t> classes) {
  if (classes) samples.require_classes(*classes, "the program has " + std::to_string(*classes) + " classes");
  if (const auto range = loss.target_range()) {
    samples.require_targets(range->least, range->most, range->except, range->expected);
  }
}

void check_channels(LoadedJob& job, const Program& rewritten, const Hyperparameters& hyperparameters,
                    const RankContext& context) {
  const Program inference = rewritten.with_graph(eval_form(rewritten.graph()));
  // With gradients: of a large program one sample is much, too.
  Executor executor(inference, /*trains=*/false, nullptr,
                    plan_recomputation(inference.graph(), hyperparameters.recompute, /*random=*/false));
  for (auto& [channel, samples] : job.data.samples) {
    try {
      const bool evaluated = channel == job.data.evaluation || channel == job.data.test;
      const std::int64_t measured = evaluated ? samples.shards(context.host.size()).samples() : 0;
      check_channel(samples, measured, executor, job.objective, hyperparameters.precision, context);
    } catch (const InputError& error) {
      throw does_not_fit(channel, job.program.program, error);
    }
  }
}

void check_deterministic(const LoadedJob& job, const Program& rewritten, const Hyperparameters& hyperparameters,
                         const RankContext& context) {
  if (!hyperparameters.deterministic) return;
  Executor executor(rewritten.with_graph(eval_form(rewritten.graph())));
  const Batch batch = first_batch(*job.data.training().samples, 1, context);
  try {
    try_step(rewritten, executor, job.objective, batch, hyperparameters.precision);
  } catch (const c10::Error& error) {
    rethrow(error, "backward of the program " + job.program.program.name() + " failed");
  }
}

void check_predictions(const LoadedJob& job, const Program& rewritten, const Hyperparameters& hyperparameters,
                       const RankContext& context) {
  constexpr std::int64_t kMostNumbers = 16384;
  const bool parquet = std::ranges::any_of(
      hyperparameters.predict, [](const std::string& text) { return predict_request(text).format == "parquet"; });
  if (parquet && context.leads()) parquet_output();
  Executor executor(rewritten.with_graph(eval_form(rewritten.graph())));
  for (const auto& [channel, predicted] : job.data.predicted) {
    try {
      const at::Tensor output =
          forward(executor, first_batch(predicted.samples, 1, context).inputs, hyperparameters.precision)
              .at(job.objective.seen().output);
      const std::int64_t numbers = output.numel() + predicted.target_numbers();
      if (output.dim() > 0 && output.size(0) == 1 && numbers <= kMostNumbers) continue;
      throw InputError("predict writes outputs [batch, …] in a line for each sample, of at most " +
                       with_commas(kMostNumbers) + " numbers with its target; the program returned " +
                       sizes_text(output) + " for one sample");
    } catch (const InputError& error) {
      throw does_not_fit(channel, job.program.program, error);
    }
  }
}

void check_artifacts(const LoadedJob& job, const Hyperparameters& hyperparameters, const std::vector<Probe>& probes) {
  check_artifacts(job.program.inference, hyperparameters.export_formats, probes,
                  {.layout = hyperparameters.layout,
                   .served_name = hyperparameters.served_name,
                   .form = served_form(hyperparameters, job)});
}

void run_as_trained(const Program& program, const std::vector<at::Tensor>& inputs, Precision precision) {
  const c10::NoGradGuard no_grad;
  const KeptBuffers kept(program);
  Executor executor(program, /*trains=*/true);
  forward(executor, inputs, precision);
}

void check_shares(const LoadedJob& job, const Program& rewritten, const Hyperparameters& hyperparameters,
                  const RankContext& context) {
  require_one_micro_batch(job, hyperparameters, context.host.size());
  if (hyperparameters.sync_batch_norm) require_batch_norms(rewritten.graph());
  if (std::ranges::none_of(rewritten.graph().nodes,
                           [](const Node& node) { return batch_statistics(node).has_value(); }))
    return;
  const ProgramSamples& samples = *job.data.training().samples;
  const int ranks = context.host.size();
  const Share share = smallest_share(hyperparameters, samples, ranks);
  // Statistics over all ranks have two numbers where there are two samples.
  const std::int64_t tried = hyperparameters.sync_batch_norm ? std::min<std::int64_t>(share.samples, 2) : share.samples;
  if (samples.size() < tried) return;  // other hosts have as many
  const Batch batch = first_batch(samples, tried, context);
  try {
    run_as_trained(rewritten, batch.inputs, hyperparameters.precision);
  } catch (const SingleValueError& error) {
    if (!error.over_batch()) throw;
    throw too_small(share, error, larger_shares(hyperparameters, samples, ranks, share));
  }
}

void check_directories(const JobConfig& config) {
  constexpr const char* kProbe = "probe";
  for (const std::filesystem::path& written :
       {config.output_dir, config.model_dir, config.output_data_dir, config.checkpoint_dir}) {
    if (written.empty()) continue;
    // What killed jobs have left. Where checkpoints are other jobs may be writing theirs: only probes go.
    std::error_code missing;
    const bool shared = std::filesystem::equivalent(written, config.checkpoint_dir, missing);
    remove_abandoned_staging(written, shared ? kProbe : "");
    StagingDirectory writable(written, kProbe);
  }
}

}  // namespace lockstep

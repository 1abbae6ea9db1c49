#include "engine/session/RunFacts.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/program/Flops.h"
#include "engine/session/JobFacts.h"
#include "job/PeakFlops.h"

namespace lockstep {

namespace {

// Of one sample.
std::string describe(const ProgramSamples& samples) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < samples.inputs(); ++i) {
    const Column& input = samples.input(i);
    std::string text = join(input.sizes, "×");
    if (samples.inputs() > 1) text = input.name + (text.empty() ? "" : " ") + text;
    if (is_integer(input.transform.to()) && samples.bound(input) > 0) {
      text += " tokens of " + std::to_string(samples.bound(input));
    }
    parts.push_back(text);
  }
  if (samples.classes() > 0) parts.push_back(std::to_string(samples.classes()) + " classes");
  if (samples.has_weights()) parts.emplace_back("weighted");
  return join(parts, ", ");
}

// The arithmetic that the program needs, whatever was computed. Nothing when the graph does not say its sizes.
std::optional<Arithmetic> arithmetic_of(const Hyperparameters& hyperparameters, const Graph& graph,
                                        const TrainingResult& result, const RankContext& context) {
  Arithmetic arithmetic = {.card = context.device.card(), .precision = hyperparameters.precision};
  try {
    arithmetic.flops_per_second = training_flops(graph, 1) * result.samples_per_second / context.host.size();
  } catch (const InputError&) {
    return std::nullopt;
  }
  arithmetic.peak_flops = peak_flops(arithmetic.card, hyperparameters.precision, hyperparameters.tf32);
  return arithmetic;
}

}  // namespace

RunStarted run_started(const JobConfig& config, const LoadedJob& job, Trainer& trainer, const RankContext& context) {
  const Hyperparameters& options = config.hyperparameters;
  const Program& program = job.program.program;
  RunStarted event = {.job_name = config.job_name,
                      .ranks = context.host.size(),
                      .hosts = context.hosts,
                      .host = config.host,
                      .device = context.device.description(),
                      .program = program.name(),
                      .parameters = program.parameter_count(),
                      .precision = options.precision,
                      .buckets = trainer.buckets().buckets().size(),
                      .bucket_cap_mb = options.bucket_cap_mb,
                      .total_steps = trainer.total_steps(),
                      .batch_size = options.batch_size,
                      .optimizer = options.optimizer,
                      .learning_rate = options.learning_rate,
                      .schedule = options.schedule,
                      .memory = trainer.memory(),
                      .evaluation_channel = job.data.evaluation,
                      .monitor = options.monitor.metric,
                      .labels = class_labels(job),
                      .model_dir = options.export_formats.empty() ? std::filesystem::path() : config.model_dir,
                      .checkpoint_dir = config.checkpoint_dir};
  const nlohmann::json hyperparameters = to_json(options);
  for (const HyperparameterDescription& row : describe_hyperparameters()) {
    const nlohmann::json& value = hyperparameters.at(row.name);
    event.hyperparameters.emplace_back(row.name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  for (const auto& [channel, samples] : job.data.samples) {
    event.channels.push_back(
        {.name = channel, .samples = samples.shards(context.host.size()).samples(), .content = describe(samples)});
  }
  return event;
}

RunEnded run_ended(const JobConfig& config, const LoadedJob& job, const TrainingResult& result, Metrics metrics,
                   const std::vector<std::filesystem::path>& artifacts, double seconds, const RankContext& context) {
  RunEnded event = {.steps = result.steps,
                    .stopped = result.stopped,
                    .state_step = result.state_step,
                    .state_epoch = result.state_epoch,
                    .metrics = std::move(metrics),
                    .labels = class_labels(job),
                    .seconds = seconds,
                    .training_seconds = result.training_seconds,
                    .samples_per_second = result.samples_per_second,
                    .data_wait_share = result.data_wait_share,
                    .arithmetic = arithmetic_of(config.hyperparameters, job.program.program.graph(), result, context),
                    .captured = context.device.asynchronous() ? std::optional(result.captured) : std::nullopt,
                    .not_finite_steps = result.not_finite_steps,
                    .peak_memory = context.device.peak_memory()};
  if (result.loss_scale) {
    event.loss_scale = result.loss_scale->value();
    event.skipped_steps = result.loss_scale->overflows();
  }
  for (const std::filesystem::path& path : artifacts) event.artifacts.push_back({path, bytes_below(path)});
  return event;
}

}  // namespace lockstep

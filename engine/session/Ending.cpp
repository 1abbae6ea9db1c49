#include "engine/session/Ending.h"

#include <cmath>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "common/Text.h"
#include "engine/artifacts/ModelCard.h"
#include "engine/artifacts/ModelDirectory.h"
#include "engine/artifacts/WeightQuantization.h"
#include "engine/collectives/Agreement.h"
#include "engine/program/Passes.h"
#include "engine/session/FirstSamples.h"
#include "engine/session/JobFacts.h"
#include "engine/session/MadeUpProbes.h"
#include "engine/train/EvaluationKeeper.h"
#include "engine/train/NotFinite.h"
#include "job/Json.h"

namespace lockstep {

namespace {

constexpr std::int64_t kProbeSamples = 16;
constexpr const char* kFieldsFile = "fields.json";

ArtifactMetadata metadata_of(const TrainingResult& result, const Metrics& metrics) {
  ArtifactMetadata metadata = {{"step", std::to_string(result.state_step)}};
  for (const auto& [name, value] : metrics) metadata[name] = format("%.9g", value);
  return metadata;
}

/// What the model directory holds of an earlier job.
struct EarlierModel {
  bool finished = true;   ///< also where nobody can tell
  std::int64_t step = 0;  ///< of a stopped job: after which its state was taken
};

std::optional<EarlierModel> earlier_model(const std::filesystem::path& directory) {
  std::error_code unseen;
  if (!std::filesystem::exists(directory / ModelCard::kFile, unseen)) return std::nullopt;
  try {
    const nlohmann::ordered_json job = ModelCard::read(directory).job;
    if (!job.is_object() || !job.value("stopped", false)) return EarlierModel();
    return EarlierModel{.finished = false, .step = read_int(job.at("step"), 0)};
  } catch (const std::exception&) {  // no card of ours, or a damaged one
    return EarlierModel();
  }
}

// What rounding the weights does to each metric; null where a stop came first.
nlohmann::ordered_json quantized_facts(const TrainingResult& result, const std::optional<Evaluation>& quantized) {
  if (!result.evaluation || !quantized) return nullptr;
  nlohmann::ordered_json facts = {{"channel", result.evaluated_channel}};
  for (const auto& [name, before] : result.evaluation->values()) {
    facts[name] = {{"trained", before}, {"int8_weights", quantized->metric(name)}};
  }
  return facts;
}

// Evaluates a program, which is in its inference form and on the host. A collective.
std::optional<Evaluation> evaluate(const Hyperparameters& hyperparameters, const LoadedJob& job, const Program& program,
                                   const std::string& channel, Trainer& trainer, const RankContext& context,
                                   const StopRequested& stop) {
  Evaluator evaluator =
      make_evaluator(hyperparameters, job.objective,
                     apply_passes(program, hyperparameters.passes).on(context.device.place()), context);
  std::optional<Evaluation> found;
  trainer.beside([&] { found = evaluator.evaluate(*job.data.of(channel).samples, stop); });
  return found;
}

}  // namespace

std::optional<Evaluation> evaluate_quantized(const Hyperparameters& hyperparameters, const LoadedJob& job,
                                             const TrainingResult& result, Trainer& trainer, const RankContext& context,
                                             const StopRequested& stop, EventSink& events) {
  if (hyperparameters.quantize == Quantize::kNone || !result.evaluation) return std::nullopt;
  const auto found = evaluate(hyperparameters, job, with_rounded_weights(result.program), result.evaluated_channel,
                              trainer, context, stop);
  if (!found || !context.leads()) return found;
  const std::string& metric = hyperparameters.monitor.metric;
  events.note({.text = format("quantize=int8-weights: %s_%s is %.6g, and was %.6g with the weights as trained",
                              result.evaluated_channel.c_str(), metric.c_str(), found->metric(metric),
                              result.evaluation->metric(metric))});
  return found;
}

ArtifactPlace place_of_artifacts(const JobConfig& config, const TrainingResult& result) {
  const std::string& place = config.model_dir.string();
  if (!result.stopped) return {.directory = config.model_dir};
  if (result.steps == 0) return {.note = "no artifact is written, and what " + place + " holds stays"};
  const std::optional<EarlierModel> earlier = earlier_model(config.model_dir);
  if (!earlier) return {.directory = config.model_dir};
  if (!earlier->finished && earlier->step <= result.state_step) {
    return {.directory = config.model_dir,
            .note = "the artifacts in " + place + " replace those of step " + with_commas(earlier->step) +
                    " of a job that was stopped"};
  }
  const std::filesystem::path other = config.output_data_dir / kStoppedModel;
  return {.directory = other,
          .note = place + " holds the model of a job that " +
                  (earlier->finished ? "finished" : "was stopped after step " + with_commas(earlier->step)) +
                  ", which stays; the artifacts of this one are in " + other.string()};
}

std::vector<std::filesystem::path> export_artifacts(const JobConfig& config, const LoadedJob& job,
                                                    const TrainingResult& result, const Metrics& metrics,
                                                    const std::filesystem::path& directory, const RankContext& context,
                                                    const std::optional<Evaluation>& quantized) {
  const ProgramSamples& data = *job.data.probed().samples;
  const Program& program = result.program;
  std::vector<std::filesystem::path> artifacts;
  require_all_ok(context.host, [&] {
    if (!context.leads() || directory.empty() || config.hyperparameters.export_formats.empty()) return;
    BesideArtifacts beside = {.job = job_facts(config, job, result, metrics, context),
                              .probes = made_up_probes(program),
                              .metadata = metadata_of(result, metrics),
                              .labels = class_labels(job),
                              .layout = config.hyperparameters.layout,
                              .served_name = config.hyperparameters.served_name,
                              .form = served_form(config.hyperparameters, job)};
    if (beside.form.int8_weights) beside.job["quantized"] = quantized_facts(result, quantized);
    if (!job.data.fields.empty()) beside.texts[kFieldsFile] = job.data.fields;
    artifacts =
        write_artifacts(program, config.hyperparameters.export_formats, directory,
                        make_probes(program, {first_inputs(data, 1), first_inputs(data, kProbeSamples)}), beside);
    // What an earlier job left there is not of these artifacts.
    if (job.data.fields.empty()) std::filesystem::remove(directory / kFieldsFile);
  });
  return artifacts;
}

std::optional<Evaluation> evaluate_test(const Hyperparameters& hyperparameters, const LoadedJob& job,
                                        const Program& program, Trainer& trainer, const RankContext& context,
                                        const StopRequested& stop, EventSink& events) {
  const std::string& channel = job.data.test;
  if (channel.empty()) return std::nullopt;
  const ProgramSamples& samples = *job.data.of(channel).samples;
  const auto test = evaluate(hyperparameters, job, program, channel, trainer, context, stop);
  if (test && !std::isfinite(test->metric("loss"))) {
    const std::string text =
        test->weightless() ? nothing_counts(channel)
                           : not_finite_loss(channel, test->metric("loss"), find_not_finite(samples, context.host));
    events.note({.text = text, .warning = true});
  }
  for (const auto& [metric, note] : test && !test->weightless() ? test->notes() : Evaluation::Notes()) {
    events.note({.text = channel + "_" + metric + ": " + note});
  }
  return test;
}

}  // namespace lockstep

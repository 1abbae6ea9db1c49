#include "engine/session/Ending.h"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "common/Text.h"
#include "engine/artifacts/ModelDirectory.h"
#include "engine/collectives/Agreement.h"
#include "engine/program/Passes.h"
#include "engine/session/FirstSamples.h"
#include "engine/session/JobFacts.h"
#include "engine/session/MadeUpProbes.h"
#include "engine/train/EvaluationKeeper.h"
#include "engine/train/NotFinite.h"

namespace lockstep {

namespace {

constexpr std::int64_t kProbeSamples = 16;
constexpr const char* kFieldsFile = "fields.json";

ArtifactMetadata metadata_of(const TrainingResult& result) {
  ArtifactMetadata metadata = {{"step", std::to_string(result.state_step)}};
  if (!result.evaluation) return metadata;
  for (const auto& [name, value] : result.evaluation->metrics(result.evaluated_channel)) {
    metadata[name] = format("%.9g", value);
  }
  return metadata;
}

}  // namespace

std::vector<std::filesystem::path> export_artifacts(const JobConfig& config, const LoadedJob& job,
                                                    const TrainingResult& result, const Metrics& metrics, bool late,
                                                    const RankContext& context) {
  const ProgramSamples& data = *job.data.probed().samples;
  const Program& program = result.program;
  std::vector<std::filesystem::path> artifacts;
  require_all_ok(context.host, [&] {
    if (!context.leads() || late || config.hyperparameters.export_formats.empty()) return;
    BesideArtifacts beside = {.job = job_facts(config, job, result, metrics, context),
                              .probes = made_up_probes(program),
                              .metadata = metadata_of(result)};
    if (!job.data.fields.empty()) beside.texts[kFieldsFile] = job.data.fields;
    artifacts =
        write_artifacts(program, config.hyperparameters.export_formats, config.model_dir,
                        make_probes(program, {first_inputs(data, 1), first_inputs(data, kProbeSamples)}), beside);
    // What an earlier job left there is not of these artifacts.
    if (job.data.fields.empty()) std::filesystem::remove(config.model_dir / kFieldsFile);
  });
  return artifacts;
}

std::optional<Evaluation> evaluate_test(const Hyperparameters& hyperparameters, const LoadedJob& job,
                                        const Program& program, Trainer& trainer, const RankContext& context,
                                        const StopRequested& stop, EventSink& events) {
  const std::string& channel = job.data.test;
  if (channel.empty()) return std::nullopt;
  const ProgramSamples& samples = *job.data.of(channel).samples;
  Evaluator evaluator =
      make_evaluator(hyperparameters, job.objective,
                     apply_passes(program, hyperparameters.passes).on(context.device.place()), context);
  std::optional<Evaluation> test;
  trainer.beside([&] { test = evaluator.evaluate(samples, stop); });
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

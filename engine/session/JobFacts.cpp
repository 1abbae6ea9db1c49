#include "engine/session/JobFacts.h"

#include <torch/version.h>

#include <cmath>
#include <string>
#include <utility>

#include "common/Text.h"
#include "job/Hyperparameters.h"

namespace lockstep {

using nlohmann::ordered_json;

namespace {

// As JSON has it; no number stands for what is not finite.
ordered_json number(double value) {
  return std::isfinite(value) ? ordered_json(value) : ordered_json(format("%g", value));
}

ordered_json preprocessing(const ProgramSamples& samples) {
  ordered_json inputs = ordered_json::object();
  for (std::size_t i = 0; i < samples.inputs(); ++i) {
    const Column& input = samples.input(i);
    const Field& field = samples.dataset()->spec().fields[input.field];
    ordered_json entry = {
        {"column", field.name}, {"from", to_string(input.transform.from())}, {"to", to_string(input.transform.to())}};
    const Normalization& normalization = input.transform.normalization();
    if (input.transform.scales_bytes() || !normalization.changes_nothing()) {
      entry["divided_by"] = input.transform.scales_bytes() ? 255 : 1;
      entry["mean"] = normalization.mean;
      entry["std"] = normalization.std;
    }
    if (!field.categories.empty()) entry["categories"] = field.categories;  // what 0, 1, … stand for
    inputs[input.name] = std::move(entry);
  }
  return inputs;
}

}  // namespace

ordered_json job_facts(const JobConfig& config, const LoadedJob& job, const TrainingResult& result,
                       const Metrics& metrics, const RankContext& context) {
  const ProgramSamples& samples = *job.data.training().samples;
  ordered_json measured = ordered_json::object();
  for (const auto& [name, value] : metrics) measured[name] = number(value);
  ordered_json channels = ordered_json::object();
  for (const auto& [channel, each] : job.data.samples) {
    channels[channel] = {{"samples", each.shards(context.host.size()).samples()}, {"digest", each.digest()}};
  }
  ordered_json facts = {{"name", config.job_name},
                        {"step", result.state_step},
                        {"metrics", std::move(measured)},
                        {"inputs", preprocessing(samples)},
                        {"channels", std::move(channels)}};
  if (samples.has_targets()) {
    const Field& target = samples.dataset()->spec().fields[samples.target().field];
    if (!target.categories.empty()) facts["labels"] = target.categories;
  }
  facts["hyperparameters"] = to_json(config.hyperparameters);
  facts["ranks"] = context.host.size();
  facts["versions"] = {{"lockstep", LOCKSTEP_VERSION}, {"libtorch", TORCH_VERSION}};
  return facts;
}

}  // namespace lockstep

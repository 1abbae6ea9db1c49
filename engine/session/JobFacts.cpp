#include "engine/session/JobFacts.h"

#include <torch/version.h>

#include <cmath>
#include <string>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "common/Version.h"
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

std::vector<std::string> class_labels(const LoadedJob& job) {
  const ProgramSamples& samples = *job.data.training().samples;
  if (!samples.has_targets()) return {};
  return samples.dataset()->spec().fields[samples.target().field].categories;
}

ServedForm served_form(const Hyperparameters& hyperparameters, const LoadedJob& job) {
  ServedForm form{.int8_weights = hyperparameters.quantize == Quantize::kInt8Weights,
                  .scores = job.objective.seen().output,
                  .classifies = hyperparameters.loss == "cross_entropy"};
  if (hyperparameters.serve_preprocessing == ServePreprocessing::kNone) return form;
  const ProgramSamples& samples = *job.data.training().samples;
  const Transform& transform = samples.input(0).transform;
  const bool encoded = transform.from() == ElementType::kUint8 && samples.class_labels();
  if (hyperparameters.loss != "cross_entropy" || samples.inputs() != 1 || !encoded) {
    throw InputError("serve_preprocessing=" + to_string(hyperparameters.serve_preprocessing) +
                     " serves what classifies images of bytes: the loss is " + hyperparameters.loss +
                     ", and the input " + samples.input(0).name + " is made of " + to_string(transform.from()));
  }
  form.pixels = PixelNormalization{transform.normalization().mean, transform.normalization().std};
  if (hyperparameters.serve_preprocessing == ServePreprocessing::kImages) form.decoded = hyperparameters.image_crop;
  return form;
}

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
  if (result.stopped) facts["stopped"] = true;  // before its end
  if (const std::vector<std::string> labels = class_labels(job); !labels.empty()) facts["labels"] = labels;
  facts["hyperparameters"] = to_json(config.hyperparameters);
  facts["ranks"] = context.host.size();
  facts["versions"] = {{"lockstep", kLockstepVersion}, {"libtorch", TORCH_VERSION}};
  return facts;
}

}  // namespace lockstep

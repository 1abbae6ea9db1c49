#include "engine/session/LoadedJob.h"

#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/collectives/Agreement.h"
#include "engine/data/SyntheticDataset.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/Executor.h"
#include "engine/session/BuiltinFit.h"
#include "engine/session/DescribedFields.h"
#include "engine/session/FirstSamples.h"
#include "engine/session/FittingSamples.h"
#include "engine/session/FrozenParameters.h"
#include "engine/session/InitialWeights.h"
#include "engine/session/SetUpPhase.h"

namespace lockstep {

namespace {

// What must be alike for ranks to open the same channels one after another.
void require_same_channels(const Hyperparameters& options, const JobData& data, const std::optional<Program>& program,
                           Communicator& ranks) {
  std::vector<std::string> sharded = options.sharded;
  std::ranges::sort(sharded);
  std::vector<std::pair<std::string, std::string>> items = {
      {"the channels", data.train + " " + data.evaluation + " " + data.test},
      {"the hyperparameter sharded", join(sharded, ",")},
      {"the program", is_builtin_program(options.model) ? options.model
                      : program && in_float64(*program) ? "of a file, in float64"
                                                        : "of a file"}};
  const nlohmann::json values = to_json(options);
  for (const char* name : {"fields", "mixture", "precision", "predict", "skip_bad_records", "validation_share"}) {
    items.emplace_back(std::string("the hyperparameter ") + name, values.at(name).dump());
  }
  require_agreement(ranks, items);
}

// What the program's own weight of a position is, about; 0 where it has none, or this host has no samples.
double weight_of_position(const Objective& objective, const Program& inference, const ProgramSamples& train) {
  constexpr std::int64_t kMost = 16;
  const std::int64_t count = std::min(kMost, train.dataset()->readable());
  if (!objective.loss().of_program() || count == 0) return 0;
  const c10::NoGradGuard no_grad;
  const std::vector<at::Tensor> outputs = Executor(inference).run(first_inputs(train, count));
  const auto [terms, weight_of_sample] = objective.loss_of(outputs, {}, {}, count);
  if (!terms.weight.defined()) return 0;
  return terms.weight.item<double>() / (static_cast<double>(count) * weight_of_sample);
}

std::string describe_index(const Hyperparameters& options, const Channels& channels) {
  std::vector<std::string> without;
  for (const auto& [name, channel] : channels) {
    if (channel.without_index) without.push_back(name + (channel.format.empty() ? "" : " (" + channel.format + ")"));
  }
  if (options.data_index_dir.empty() || without.empty()) return "";
  return "data_index_dir keeps nothing of " + join(without, ", ") +
         ": it is for CSV, JSON lines, TFRecord and RecordIO, which have to be gone through to be opened";
}

}  // namespace

LoadedJob load_job(const JobConfig& config, const Registries& registries, const RankContext& context) {
  const Hyperparameters& options = config.hyperparameters;
  const bool synthetic = options.data == Data::kSynthetic;
  std::optional<Objective> objective;
  JobData data;
  std::optional<Program> program;
  const bool builtin = is_builtin_program(options.model);
  set_up_phase(context.host, [&] {
    objective = make_objective(options, context.device.place(), registries.losses, registries.metrics);
    data = synthetic ? JobData{.train = "synthetic"} : choose_channels(config);
    if (!builtin) program = read_program(options);
    if (builtin && synthetic) program = sized_builtin_program(options);
  });
  require_same_channels(options, data, program, context.host);
  const Loss& loss = objective->loss();
  std::string index;
  ColumnOptions columns = column_options(options, loss);
  Channels channels;
  if (!synthetic) {
    channels = open_channels(config, data, registries.formats, program ? &program->graph() : nullptr, context);
    index = describe_index(options, channels);
    hold_back(channels, data, options, context);
    describe_fields(channels, data, options, context);
  }
  if (!program) {
    const OpenedChannel* held_back = options.validation_share > 0 ? &channels.at(kHeldBackChannel) : nullptr;
    program = fit_builtin_program(options, channels.at(data.train), held_back, columns, context.host);
  }
  if (builtin) program = program->to(type_of_program(options));
  std::optional<LoadedProgram> loaded;
  std::string weights;
  double weight = 0;
  set_up_phase(context.host, [&] {
    const Graph& graph = program->graph();
    objective->see(graph.output_names());
    if (synthetic) {
      const std::string target = loss.takes_targets() ? graph.outputs.at(objective->seen().output) : "";
      SampleSpec spec = fitting_samples(graph, target, loss.class_labels());
      if (loss.target_range()) {  // 0 and 1 are in all of them
        spec.fields.back().type = ElementType::kInt64;
        spec.fields.back().bound = 2;
      }
      channels[data.train].dataset =
          std::make_shared<SyntheticDataset>(std::move(spec), options.synthetic_samples, options.seed);
    }
    for (const std::string& name : {data.train, data.evaluation, data.test}) {
      if (!name.empty()) add_samples(data, name, channels.at(name), *program, columns);
    }
    for (const std::string& text : options.predict) {
      const std::string name = predict_request(text).channel;
      add_predicted(data, name, channels.at(name), *program, columns);
    }
    check_variation(data, options);
    weights = load_initial_weights(options, *program);
    freeze_parameters(*program, options.freeze);
    loaded.emplace(std::move(*program));
    weight = weight_of_position(*objective, loaded->inference, data.samples.at(data.train));
  });
  context.host.all_reduce(&weight, 1, DataType::kFloat64, ReduceOp::kMax)->wait();
  objective->expect_weight(weight);
  for (auto& [name, samples] : data.samples) share_classes(samples, context.host);
  return {.objective = std::move(*objective),
          .data = std::move(data),
          .program = std::move(*loaded),
          .weights = std::move(weights),
          .index = std::move(index)};
}

}  // namespace lockstep

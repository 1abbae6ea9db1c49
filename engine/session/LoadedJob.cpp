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
#include "engine/session/DescribedFields.h"
#include "engine/session/FirstSamples.h"
#include "engine/session/FittingSamples.h"
#include "engine/session/FrozenParameters.h"
#include "engine/session/InitialWeights.h"
#include "engine/session/SetUpPhase.h"

namespace lockstep {

namespace {

// Of a built-in model on few samples: a label beyond is a number of another kind.
constexpr std::int64_t kMostClasses = 65536;

// Of the training data, for a built-in program.
ProgramSamples samples_to_fit(const OpenedChannel& train, const ColumnOptions& columns) {
  ProgramSamples samples = join_columns(train, {{.name = "x"}}, columns);
  if (samples.class_labels() && samples.classes() == 0 && samples.size() > 0) {
    throw InputError(
        "a built-in model has an output for every number from 0 to the largest label, and the labels of "
        "the training channel are too many to look for that: name a program with model=FILE.pt2");
  }
  return samples;
}

// A built-in program. A collective.
Program program_for(const Hyperparameters& options, const OpenedChannel& train, const ColumnOptions& columns,
                    Communicator& ranks) {
  std::optional<ProgramSamples> samples;
  set_up_phase(ranks, [&] { samples = samples_to_fit(train, columns); });
  share_classes(*samples, ranks);
  std::optional<Program> program;
  set_up_phase(ranks, [&] {
    samples->require_classes(
        std::max(kMostClasses, samples->shards(ranks.size()).samples()),
        "a built-in model has an output for every number from 0 to the largest label, and at most " +
            with_commas(kMostClasses) + " or as many as the channel has samples");
    program = load_program(options, &*samples);
  });
  return std::move(*program);
}

// What must be alike for ranks to open the same channels one after another.
void require_same_channels(const Hyperparameters& options, const JobData& data, Communicator& ranks) {
  std::vector<std::string> sharded = options.sharded;
  std::ranges::sort(sharded);
  std::vector<std::pair<std::string, std::string>> items = {
      {"the channels", data.train + " " + data.evaluation + " " + data.test},
      {"the hyperparameter sharded", join(sharded, ",")},
      {"the program", is_builtin_program(options.model) ? options.model : "of a file"}};
  const nlohmann::json values = to_json(options);
  for (const char* name : {"fields", "mixture", "predict", "skip_bad_records", "validation_share"}) {
    items.emplace_back(std::string("the hyperparameter ") + name, values.at(name).dump());
  }
  require_agreement(ranks, items);
}

// What the program's own weight of a position is, about; 0 where it has none, or this host has no samples.
double weight_of_position(const Objective& objective, const Program& inference, const ProgramSamples& train) {
  constexpr std::int64_t kMost = 16;
  const std::int64_t count = std::min(kMost, train.dataset()->readable());
  if (objective.loss().takes_targets() || count == 0) return 0;
  const c10::NoGradGuard no_grad;
  const std::vector<at::Tensor> outputs = Executor(inference).run(first_inputs(train, count));
  const auto [terms, weight_of_sample] = objective.loss_of(outputs, {}, {}, count);
  if (!terms.weight.defined()) return 0;
  return terms.weight.item<double>() / (static_cast<double>(count) * weight_of_sample);
}

}  // namespace

LoadedJob load_job(const JobConfig& config, const Registries& registries, const RankContext& context) {
  const Hyperparameters& options = config.hyperparameters;
  const bool synthetic = options.data == Data::kSynthetic;
  std::optional<Objective> objective;
  JobData data;
  std::optional<Program> program;
  set_up_phase(context.host, [&] {
    objective = make_objective(options, context.device.place(), registries.losses, registries.metrics);
    data = synthetic ? JobData{.train = "synthetic"} : choose_channels(config);
    if (synthetic || !is_builtin_program(options.model)) program = load_program(options, nullptr);
  });
  require_same_channels(options, data, context.host);
  const Loss& loss = objective->loss();
  const ColumnOptions columns = column_options(options, loss);
  Channels channels;
  if (!synthetic) {
    channels = open_channels(config, data, registries.formats, program ? &program->graph() : nullptr, context);
    hold_back(channels, data, options, context);
    describe_fields(channels, data, options, context);
  }
  if (!program) program = program_for(options, channels.at(data.train), columns, context.host);
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
    for (const std::string& name : options.predict) add_predicted(data, name, channels.at(name), *program, columns);
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
          .weights = std::move(weights)};
}

}  // namespace lockstep

#include "engine/session/LoadedJob.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/SyntheticDataset.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/session/FittingSamples.h"

namespace lockstep {

namespace {

// Of a built-in model on few samples: a label beyond is a number of another kind.
constexpr std::int64_t kMostClasses = 65536;

// A built-in program for the training data.
Program program_for(const Hyperparameters& options, const OpenedChannel& train, const ColumnOptions& columns) {
  ProgramSamples samples = join_columns(train, {{.name = "x"}}, columns);
  if (samples.class_labels() && samples.classes() == 0) {
    throw InputError(
        "a built-in model has an output for every number from 0 to the largest label, and the labels of "
        "the training channel are too many to look for that: name a program with model=FILE.pt2");
  }
  samples.require_classes(std::max(kMostClasses, samples.size()),
                          "a built-in model has an output for every number from 0 to the largest label, and at most " +
                              with_commas(kMostClasses) + " or as many as the channel has samples");
  return load_program(options, &samples);
}

}  // namespace

LoadedJob load_job(const JobConfig& config, Objective objective, const Formats& formats) {
  const Hyperparameters& options = config.hyperparameters;
  const bool class_labels = objective.loss().class_labels();
  const ColumnOptions columns = column_options(options, class_labels);
  const bool synthetic = options.data == Data::kSynthetic;
  JobData data = synthetic ? JobData{.train = "synthetic"} : choose_channels(config);
  std::optional<Program> program;
  if (synthetic || !is_builtin_program(options.model)) program = load_program(options, nullptr);
  Channels channels =
      synthetic ? Channels() : open_channels(config, data, formats, program ? &program->graph() : nullptr);
  if (!program) program = program_for(options, channels.at(data.train), columns);
  if (synthetic) {
    channels[data.train].dataset = std::make_shared<SyntheticDataset>(fitting_samples(program->graph(), class_labels),
                                                                      options.synthetic_samples, options.seed);
  }
  for (const auto& [name, channel] : channels) add_samples(data, name, channel, *program, columns);
  return {.objective = std::move(objective), .data = std::move(data), .program = LoadedProgram(std::move(*program))};
}

}  // namespace lockstep

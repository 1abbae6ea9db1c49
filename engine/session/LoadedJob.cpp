#include "engine/session/LoadedJob.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "common/Text.h"
#include "engine/program/BuiltinPrograms.h"

namespace lockstep {

namespace {

// Of a built-in model on few samples: a label beyond is a number of another kind.
constexpr std::int64_t kMostClasses = 65536;

}  // namespace

LoadedJob load_job(const JobConfig& config, Objective objective) {
  const Hyperparameters& options = config.hyperparameters;
  const bool class_labels = objective.loss().class_labels();
  if (options.data == Data::kSynthetic) {
    Program program = load_program(options, default_sample_shape());
    JobData data = synthetic_data(options, program.graph(), class_labels);
    return {.objective = std::move(objective), .data = std::move(data), .program = LoadedProgram(std::move(program))};
  }
  JobData data = load_channels(config, class_labels);
  const Dataset& train = *data.training().dataset;
  if (is_builtin_program(options.model)) {
    train.require_classes(std::max(kMostClasses, train.size()),
                          "a built-in model has an output for every number from 0 to the largest label, and at most " +
                              with_commas(kMostClasses) + " or as many as the channel has samples");
  }
  Program program = load_program(options, train.shape());
  fit_inputs(data, program.graph());
  return {.objective = std::move(objective), .data = std::move(data), .program = LoadedProgram(std::move(program))};
}

}  // namespace lockstep

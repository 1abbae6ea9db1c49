#include "engine/session/BuiltinFit.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/ProgramSamples.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/session/JobData.h"
#include "engine/session/SetUpPhase.h"

namespace lockstep {

namespace {

// Of a built-in model on few samples: a label beyond is a number of another kind.
constexpr std::int64_t kMostClasses = 65536;

// Which inputs the program has on this data, and from which column each that has another name.
std::vector<ProgramInput> inputs_of(const BuiltinProgram& program, const BuiltinOptions& options,
                                    const SampleSpec& spec, ColumnOptions& columns) {
  std::vector<ProgramInput> inputs;
  for (const BuiltinInput& input : program.inputs(options)) {
    bool found = columns.names.contains(input.name) || spec.find(input.name);
    const auto other =
        std::ranges::find_if(input.also, [&](const std::string& name) { return spec.find(name).has_value(); });
    if (!found && other != input.also.end()) found = columns.names.emplace(input.name, *other).second;
    if (!found && input.optional) continue;
    inputs.push_back(
        {.name = input.name, .type = input.integers ? ElementType::kInt64 : ElementType::kFloat, .sizes = {}});
  }
  return inputs;
}

// What the samples of all ranks have together. `held_back`: of the training channel, too, if there are such.
void share_counts(ProgramSamples& samples, const std::optional<ProgramSamples>& held_back,
                  std::vector<std::int64_t>& counts, Communicator& ranks) {
  if (held_back) samples.widen_classes(held_back->classes());
  for (std::size_t i = 0; held_back && i < counts.size(); ++i) {
    counts[i] = std::max(counts[i], held_back->count(held_back->input(i)));
  }
  share_classes(samples, ranks);
  if (counts.empty() || !samples.dataset()->shards()) return;
  ranks.all_reduce(counts.data(), counts.size(), DataType::kInt64, ReduceOp::kMax)->wait();
}

void require_classes(const BuiltinProgram& program, const BuiltinOptions& options, ProgramSamples& samples,
                     std::int64_t all_samples) {
  if (!samples.class_labels() || (program.predicts_tokens && options.vocabulary > 0)) return;
  if (samples.classes() == 0 && samples.size() > 0) {
    throw InputError(
        "a built-in model has an output for every number from 0 to the largest label, and the labels of "
        "the training channel are too many to look for that: " +
        std::string(program.predicts_tokens ? "give model_vocabulary" : "name a program with model=FILE.pt2"));
  }
  samples.require_classes(std::max(kMostClasses, all_samples),
                          "a built-in model has an output for every number from 0 to the largest label, and at most " +
                              with_commas(kMostClasses) + " or as many as the channel has samples");
}

std::vector<std::int64_t> input_shape(const Column& input) {
  std::vector<std::int64_t> sizes = input.sizes;
  if (!is_integer(input.transform.to()) && sizes.size() == 2) sizes.insert(sizes.begin(), 1);  // a grey image
  return sizes;
}

}  // namespace

std::map<std::string, std::string> named_columns(const Hyperparameters& hyperparameters) {
  std::map<std::string, std::string> names = hyperparameters.columns;
  for (const auto& [column, sizes] : hyperparameters.model_embeddings) {
    if (!hyperparameters.fields.contains(column)) names.emplace(column, column);
  }
  return names;
}

namespace {

void check_embeddings(const Hyperparameters& hyperparameters, const SampleSpec& train) {
  for (const auto& [column, sizes] : hyperparameters.model_embeddings) {
    if (hyperparameters.fields.contains(column)) continue;
    if (!train.find(column)) {
      std::vector<std::string> names;
      for (const Field& field : train.fields) names.push_back(field.name);
      throw InputError("hyperparameter model_embeddings names the column " + in_quotes(column) +
                       ", and the training channel has " + join(names, ", "));
    }
    if (column_roles(train, hyperparameters.columns).target == column) {
      throw InputError("hyperparameter model_embeddings names the column " + in_quotes(column) +
                       ", which is the target: it cannot be an input, too");
    }
  }
}

}  // namespace

Program fit_builtin_program(const Hyperparameters& hyperparameters, const OpenedChannel& train,
                            const OpenedChannel* held_back, ColumnOptions& columns, Communicator& ranks) {
  const BuiltinProgram& program = built_in_program(hyperparameters.model);
  BuiltinOptions options = builtin_options(hyperparameters);
  std::optional<ProgramSamples> samples;
  std::optional<ProgramSamples> others;
  std::vector<std::int64_t> counts;
  set_up_phase(ranks, [&] {
    check_embeddings(hyperparameters, train.dataset->spec());
    const std::vector<ProgramInput> inputs = inputs_of(program, options, train.dataset->spec(), columns);
    samples = join_columns(train, inputs, columns);
    if (held_back != nullptr) others = join_columns(*held_back, inputs, columns);
    for (std::size_t i = 0; i < samples->inputs(); ++i) counts.push_back(samples->count(samples->input(i)));
  });
  share_counts(*samples, others, counts, ranks);
  std::optional<Program> built;
  set_up_phase(ranks, [&] {
    require_classes(program, options, *samples, samples->shards(ranks.size()).samples());
    options.optional_inputs.clear();
    for (std::size_t i = 0; i < counts.size(); ++i) {
      options.optional_inputs.push_back(samples->input(i).name);
      options.counts[samples->input(i).name] = counts[i];
    }
    options.input_shape = input_shape(samples->input(0));
    options.classes = samples->class_labels() ? samples->classes() : samples->target().numbers();
    std::int64_t& tokens = options.counts[samples->input(0).name];
    if (program.predicts_tokens && tokens > 0) tokens = std::max(tokens, options.classes);
    built = build_builtin_program(hyperparameters.model, options);
  });
  return std::move(*built);
}

Program sized_builtin_program(const Hyperparameters& hyperparameters) {
  BuiltinOptions options = builtin_options(hyperparameters);
  options.optional_inputs = {"x"};
  options.open_length = false;
  return build_builtin_program(hyperparameters.model, options);
}

}  // namespace lockstep

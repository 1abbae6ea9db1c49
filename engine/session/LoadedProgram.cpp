#include "engine/session/LoadedProgram.h"

#include <cstdint>
#include <utility>

#include "common/Error.h"
#include "engine/program/Archive.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "engine/train/NotFinite.h"

namespace lockstep {

namespace {

Program trainable(Program program) {
  if (const std::string found = find_not_finite(trained_state(program)); !found.empty()) {
    throw InputError("the program " + program.name() + " cannot be trained: its " + found);
  }
  return program;
}

Program read_program(const Hyperparameters& hyperparameters, at::ScalarType type) {
  Program program = read_archive(hyperparameters.model, hyperparameters.allow_operators).to(type);
  if (program.graph().outputs.empty()) throw InputError("the program returns nothing");
  if (const std::size_t inputs = program.graph().user_inputs().size(); inputs != 1) {
    throw InputError("the program takes " + std::to_string(inputs) + " inputs; the data gives it one");
  }
  return program;
}

}  // namespace

LoadedProgram::LoadedProgram(Program loaded)
    : program(trainable(std::move(loaded))),
      digest(program.digest()),
      inference(program.with_graph(eval_form(program.graph()))) {}

Program load_program(const Hyperparameters& hyperparameters, const SampleShape& shape) {
  const at::ScalarType type = hyperparameters.precision == Precision::kFp64 ? at::kDouble : at::kFloat;
  if (!is_builtin_program(hyperparameters.model)) return read_program(hyperparameters, type);
  const std::int64_t width = shape.class_labels ? shape.classes : shape.target_numbers();
  return build_builtin_program(hyperparameters.model, {.input_shape = shape.input,
                                                       .classes = width,
                                                       .channels = hyperparameters.model_channels,
                                                       .hidden = hyperparameters.model_hidden,
                                                       .batch_norm = hyperparameters.model_norm == Norm::kBatch,
                                                       .dropout = hyperparameters.model_dropout,
                                                       .seed = hyperparameters.seed})
      .to(type);
}

SampleShape default_sample_shape() {
  const BuiltinOptions defaults;
  return {.input = defaults.input_shape, .classes = defaults.classes};
}

}  // namespace lockstep

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
  if (program.graph().user_inputs().empty()) throw InputError("the program takes no inputs");
  return program;
}

}  // namespace

LoadedProgram::LoadedProgram(Program loaded)
    : program(trainable(std::move(loaded))),
      digest(program.digest()),
      inference(program.with_graph(eval_form(program.graph()))) {}

Program load_program(const Hyperparameters& hyperparameters, const ProgramSamples* train) {
  const at::ScalarType type = hyperparameters.precision == Precision::kFp64 ? at::kDouble : at::kFloat;
  if (!is_builtin_program(hyperparameters.model)) return read_program(hyperparameters, type);
  BuiltinOptions options = builtin_options(hyperparameters);
  if (train != nullptr) {
    options.input_shape = train->input(0).sizes;
    if (options.input_shape.size() == 2) options.input_shape.insert(options.input_shape.begin(), 1);
    options.classes = train->class_labels() ? train->classes() : train->target().numbers();
  }
  return build_builtin_program(hyperparameters.model, options).to(type);
}

}  // namespace lockstep

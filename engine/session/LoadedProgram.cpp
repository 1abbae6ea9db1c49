#include "engine/session/LoadedProgram.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/program/Archive.h"
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

}  // namespace

bool in_float64(const Program& program) {
  const std::vector<StateTensor> trained = program.trained_parameters();
  return !trained.empty() && std::ranges::all_of(trained, [](const StateTensor& parameter) {
    return parameter.tensor.scalar_type() == at::kDouble;
  });
}

Precision precision_for(const Program& program, const Hyperparameters& hyperparameters, bool asked) {
  const Precision precision = hyperparameters.precision;
  if (precision == Precision::kFp64 || !in_float64(program)) return precision;
  if (precision == Precision::kAuto || (precision == Precision::kFp32 && !asked)) return Precision::kFp64;
  throw InputError("precision=" + to_string(precision) + " does nothing for the program " + program.name() +
                   ", which is exported in float64: export it in float32 (model.float()), or give precision=fp64");
}

at::ScalarType type_of_program(const Hyperparameters& hyperparameters) {
  return hyperparameters.precision == Precision::kFp64 ? at::kDouble : at::kFloat;
}

Program read_program(const Hyperparameters& hyperparameters) {
  Program program =
      read_archive(hyperparameters.model, hyperparameters.allow_operators).to(type_of_program(hyperparameters));
  if (program.graph().outputs.empty()) throw InputError("the program returns nothing");
  if (program.graph().user_inputs().empty()) throw InputError("the program takes no inputs");
  return program;
}

LoadedProgram::LoadedProgram(Program loaded)
    : program(trainable(std::move(loaded))),
      digest(program.digest()),
      inference(program.with_graph(eval_form(program.graph()))) {}

void LoadedProgram::share_tensors(const Program& trained) {
  program = trained.with_graph(program.graph());
  inference = trained.with_graph(inference.graph());
}

}  // namespace lockstep

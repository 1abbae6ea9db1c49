#include "engine/session/LoadedProgram.h"

#include <utility>

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

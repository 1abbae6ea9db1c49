// The program of a job.
#pragma once

#include <string>

#include "engine/program/Program.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// The job's program, as it was read or built, on the host. Copies share its tensors.
struct LoadedProgram {
  /// Throws InputError for a program that cannot be trained or has no inference form.
  explicit LoadedProgram(Program loaded);
  /// From now on the tensors are those of `trained`, wherever they are, which were made of these: nobody needs both.
  void share_tensors(const Program& trained);

  Program program;
  std::string digest;  ///< of the program before any step
  Program inference;   ///< the same tensors in its inference form
};

/// Whether it was exported in float64: all of its trained parameters are.
bool in_float64(const Program& program);

/// What a job computes in: as `hyperparameters` says, but fp64 with a program that is exported in float64. Throws
/// InputError for such a one when another precision was `asked` for.
Precision precision_for(const Program& program, const Hyperparameters& hyperparameters, bool asked);

/// In which a job's program computes.
at::ScalarType type_of_program(const Hyperparameters& hyperparameters);

/// Reads the program's archive. Throws InputError for a program that the engine cannot run.
Program read_program(const Hyperparameters& hyperparameters);

}  // namespace lockstep

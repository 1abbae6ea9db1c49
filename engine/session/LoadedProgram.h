// The program of a job.
#pragma once

#include <string>

#include "engine/data/ProgramSamples.h"
#include "engine/program/Program.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// The job's program on the host, as it was read or built. Copies share its tensors.
struct LoadedProgram {
  /// Throws InputError for a program that cannot be trained or has no inference form.
  explicit LoadedProgram(Program loaded);

  Program program;
  std::string digest;  ///< of the program before any step
  Program inference;   ///< the same tensors in its inference form
};

/// Reads the program's archive, or builds a program, in the type of the job's precision: for samples like those of
/// `train`, or of its own sizes without them. Throws InputError for a program that the engine cannot run.
Program load_program(const Hyperparameters& hyperparameters, const ProgramSamples* train);

}  // namespace lockstep

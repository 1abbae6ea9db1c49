// The program of a job.
#pragma once

#include <string>

#include "engine/data/Dataset.h"
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

/// Reads the program's archive, or builds a program for samples of this shape, in the type of the job's precision.
/// Throws InputError for a program that the engine cannot run.
Program load_program(const Hyperparameters& hyperparameters, const SampleShape& shape);

/// The shape of samples that a program is built to when there is no data to fit it to.
SampleShape default_sample_shape();

}  // namespace lockstep

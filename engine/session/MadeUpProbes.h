// Inputs to try an artifact with that are nobody's data.
#pragma once

#include <vector>

#include "engine/artifacts/Artifact.h"
#include "engine/program/Program.h"

namespace lockstep {

/// Batches of one sample and of two, as data=synthetic makes them; sizes other than the batch's that are only known at
/// run time are those of the exporter's example, and integers that nothing bounds, as those of a mask, are 0 or 1; then
/// only batches that the program takes, with outputs that are finite. A third batch has other sizes, if the program
/// takes them. None for a program whose inputs such samples cannot be (fitting_inputs). `program` is in its inference
/// form.
std::vector<Probe::Inputs> made_up_probes(const Program& program);

}  // namespace lockstep

// Inputs to try an artifact with that are nobody's data.
#pragma once

#include <vector>

#include "engine/artifacts/Artifact.h"
#include "engine/program/Program.h"

namespace lockstep {

/// Batches of one sample and of two, as data=synthetic makes them; sizes other than the batch's that are only known at
/// run time are those of the exporter's example. A third batch has other sizes there, if the program takes them. None
/// for a program whose inputs such samples cannot be (fitting_samples). `program` is in its inference form.
std::vector<Probe::Inputs> made_up_probes(const Program& program);

}  // namespace lockstep

// Inputs to try an artifact with that are nobody's data.
#pragma once

#include <vector>

#include "engine/artifacts/Artifact.h"
#include "engine/program/Graph.h"

namespace lockstep {

/// Two batches, of one sample and of two, as data=synthetic makes them; a size other than the batch's that is only
/// known at run time is the exporter's example's. None for a program whose inputs such samples cannot be
/// (fitting_samples).
std::vector<Probe::Inputs> made_up_probes(const Graph& graph);

}  // namespace lockstep

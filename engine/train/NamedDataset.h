// Samples under the name of their channel.
#pragma once

#include <string>

#include "engine/data/ProgramSamples.h"

namespace lockstep {

struct NamedDataset {
  std::string channel;
  const ProgramSamples* samples = nullptr;
};

}  // namespace lockstep

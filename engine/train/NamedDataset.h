// A data set under the name of its channel.
#pragma once

#include <string>

#include "engine/data/Dataset.h"

namespace lockstep {

struct NamedDataset {
  std::string channel;
  const Dataset* dataset = nullptr;
};

}  // namespace lockstep

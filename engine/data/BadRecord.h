// A record that cannot be read.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

struct BadRecord {
  std::int64_t sample = 0;  ///< its number in the data set
  std::string why{};        ///< where it lies and what is wrong with it
};

}  // namespace lockstep

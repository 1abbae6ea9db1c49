// A record that cannot be read.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

struct BadRecord {
  std::int64_t sample = 0;  ///< its number in the data set
  std::string why{};        ///< where it lies and what is wrong with it
};

/// For the message about a record that is one too many: "; skip_bad_records=2 leaves out as many before it". "": where
/// none may be left out.
inline std::string more_than(std::int64_t most) {
  return most == 0 ? "" : "; skip_bad_records=" + std::to_string(most) + " leaves out as many before it";
}

}  // namespace lockstep

// The exit codes in words: `lockstep --help` prints them, and the docs repeat what it prints.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

struct ExitCodeDescription {
  std::string code;     ///< "2", or "128 + n"
  std::string meaning;  ///< one line
};

/// Every code that `lockstep` and `lockstep-rank` end with: common/Error.h names them, here is what they mean to
/// people.
std::vector<ExitCodeDescription> describe_exit_codes();

}  // namespace lockstep

// What an error means for the process that meets it: whom it concerns, and the exit code. That is the error's own
// (common/Error.h) until training has begun.
#pragma once

#include <string>

#include "common/Error.h"

namespace lockstep {

/// Whom an error concerns.
enum class Reach {
  kAllRanks,  ///< all ranks raised it alike: one of them says so, and all leave in good order
  kPeer,      ///< another rank failed
  kThisRank,  ///< this rank failed alone, and must end the others
};

struct Failure {
  std::string text;
  ExitCode code = kExitInternal;
  Reach reach = Reach::kThisRank;
  bool out_of_memory = false;
};

/// Of the exception that is being handled: call it in a catch block. `context` comes before the text of an error of
/// libtorch. Once training has begun no error has exit code 2, which says that nothing was started. What is no
/// std::exception is thrown on.
Failure current_failure(const std::string& context, bool training_began = false);

}  // namespace lockstep

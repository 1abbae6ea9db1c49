// The engine's errors as the library's one.
#pragma once

#include "lockstep/Error.h"

namespace lockstep {

/// The exception that is being handled as a v1::Error, to be called from a catch block. What a function of the caller's
/// has thrown is thrown again as it was. `alone`: there is one rank.
[[noreturn]] void throw_public_error(bool alone);

/// Calls `work`, which is of the engine.
template <typename Work>
auto with_public_errors(bool alone, const Work& work) {
  try {
    return work();
  } catch (...) {
    throw_public_error(alone);
  }
}

}  // namespace lockstep

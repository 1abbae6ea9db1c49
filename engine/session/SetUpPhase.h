// A part of setting a job up that ranks do on their own.
#pragma once

#include <functional>

#include "engine/collectives/Communicator.h"

namespace lockstep {

/// require_all_ok, where errors of libtorch are the job's: it cannot be set up. A collective.
void set_up_phase(Communicator& communicator, const std::function<void()>& phase);

}  // namespace lockstep

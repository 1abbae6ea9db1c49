// Waiting for a device that may wait for another rank.
#pragma once

#include <c10/core/Device.h>

#include "engine/collectives/Communicator.h"

namespace lockstep {

/// Blocks the host until the device has done all that was enqueued on the current stream, through `communicator`, whose
/// collectives may be among it: throws what its `await` throws. Call it before anything of PyTorch's that blocks the
/// host until then without a deadline: `item`, a copy to the host, giving memory back. On a CPU nothing is waited for.
void await_device(Communicator& communicator, const c10::Device& device);

}  // namespace lockstep

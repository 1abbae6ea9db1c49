#include "engine/session/SetUpPhase.h"

#include "engine/collectives/Agreement.h"
#include "engine/program/TorchError.h"

namespace lockstep {

void set_up_phase(Communicator& communicator, const std::function<void()>& phase) {
  require_all_ok(communicator, [&] {
    try {
      phase();
    } catch (const c10::Error& error) {
      rethrow(error, "the job cannot be set up");
    }
  });
}

}  // namespace lockstep

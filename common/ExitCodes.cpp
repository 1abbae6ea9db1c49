#include "common/ExitCodes.h"

#include "common/Error.h"

namespace lockstep {

std::vector<ExitCodeDescription> describe_exit_codes() {
  const auto number = [](ExitCode code) { return std::to_string(static_cast<int>(code)); };
  return {
      {number(kExitDone), "the job is done, or was asked to stop and its state is saved (see exit_code_when_stopped)"},
      {number(kExitInternal), "a bug of Lockstep, or an error that nobody classified"},
      {number(kExitBadInput), "the job as given cannot run: nothing was started"},
      {number(kExitRankFailed), "a rank failed while it trained, or could not save"},
      {number(kExitNotSaved), "ranks that no `lockstep train` watches (srun, mpirun) were stopped; nothing was saved"},
      {number(kExitHostLost), "a host of the job is lost, or has not come"},
      {number(kExitNotStarted), "the ranks could not be started: mpirun, the loader or this system refused"},
      {number(kExitSignal) + " + n", "the job was stopped by signal n, and nothing was saved"}};
}

}  // namespace lockstep

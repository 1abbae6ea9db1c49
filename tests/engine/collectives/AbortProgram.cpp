// Rank 1 fails alone: a collective of its own is under way in the background that nobody else will join, and
// rank 0 never comes. Only `abort` can end such a job.
#include <unistd.h>

#include "engine/collectives/MpiCommunicator.h"

int main() {
  const lockstep::MpiSession session;
  lockstep::MpiCommunicator communicator(session, lockstep::MpiMode::kBackground);
  communicator.barrier();
  if (communicator.rank() == 0) {
    for (;;) ::pause();
  }
  double value = 0;
  // NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): it must live until the abort
  const auto work = communicator.all_reduce(&value, 1, lockstep::DataType::kFloat64, lockstep::ReduceOp::kSum);
  communicator.abort(7);
}

// Where a rank's threads are, without a debugger.
#pragma once

#include <chrono>
#include <string>

#include "watch/RankPage.h"

namespace lockstep {

/// Lets whoever has this process's page ask its threads where they are. They answer in a handler of SIGURG, which
/// nobody else uses and which ends no process. Call it before there are threads. The page must stay to the process's
/// end.
void answer_with_stacks(RankPage& page);

/// Asks the threads of a rank of this machine, and names their frames; equal stacks are shown once. A rank that is
/// stopped goes on for this, but none of its threads beyond the handler: it is to be ended. Of a thread that does not
/// answer in time, as in the kernel it cannot, what the system tells is shown.
std::string stacks_of(RankPage& page, std::chrono::milliseconds limit = std::chrono::milliseconds(700));

}  // namespace lockstep

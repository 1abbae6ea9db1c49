// Where a rank's threads are, without a debugger.
#pragma once

#include <chrono>
#include <string>

#include "watch/RankPage.h"

namespace lockstep {

/// While it lives, whoever has this process's page may ask its threads where they are. They answer in a handler of
/// SIGURG, which nobody else uses and which ends no process. One per process, made before there are threads. The page
/// must outlive it, and no thread looks at it afterwards: its end waits for those that are answering.
class StackAnswers {
 public:
  explicit StackAnswers(RankPage& page);
  StackAnswers(const StackAnswers&) = delete;
  StackAnswers& operator=(const StackAnswers&) = delete;
  ~StackAnswers();
};

/// Asks the threads of a rank of this machine, and names their frames; equal stacks are shown once. A rank that is
/// stopped goes on for this, but none of its threads beyond the handler: it is to be ended. Of a thread that does not
/// answer in time, as in the kernel it cannot, what the system tells is shown.
std::string stacks_of(RankPage& page, std::chrono::milliseconds limit = std::chrono::milliseconds(700));

}  // namespace lockstep

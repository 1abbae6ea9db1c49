#include "common/ExitCodes.h"

#include <gtest/gtest.h>

#include <set>

#include "common/Error.h"

namespace lockstep {
namespace {

// A new code does not compile here before it is described: the switch has no default.
std::string described_as(ExitCode code) {
  switch (code) {
    case kExitDone:
    case kExitInternal:
    case kExitBadInput:
    case kExitRankFailed:
    case kExitNotSaved:
    case kExitHostLost:
    case kExitNotStarted:
      return std::to_string(static_cast<int>(code));
    case kExitSignal:
      return "128 + n";
  }
  return "";
}

TEST(ExitCodes, EachIsDescribedOnce) {
  std::multiset<std::string> described;
  for (const ExitCodeDescription& row : describe_exit_codes()) {
    described.insert(row.code);
    EXPECT_GT(row.meaning.size(), 10);
  }
  std::multiset<std::string> all;
  for (const ExitCode code : {kExitDone, kExitInternal, kExitBadInput, kExitRankFailed, kExitNotSaved, kExitHostLost,
                              kExitNotStarted, kExitSignal}) {
    all.insert(described_as(code));
  }
  EXPECT_EQ(described, all);
}

}  // namespace
}  // namespace lockstep

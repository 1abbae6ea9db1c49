#include "watch/ProcessState.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <tuple>

#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

TEST(ProcessState, OneThatIsNotThereIsGone) {
  const pid_t child = ::fork();
  if (child == 0) std::_Exit(0);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(process_state(child), ProcessState::kGone);
}

// A process may end after its file has been opened: reading fails then.
TEST(ProcessState, OneWhoseFileCannotBeReadIsGone) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "stat");
  EXPECT_EQ(process_state(directory.path().string()), ProcessState::kGone);
}

TEST(ProcessState, ItsNameMayHoldWhatFollowsIt) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "stat") << "812 (a) R\n(b) T 1 812";
  EXPECT_EQ(process_state(directory.path().string()), ProcessState::kStopped);
}

TEST(ProcessState, IsTheSystemsOwn) {
  const TemporaryDirectory directory;
  for (const auto& [letter, state, name] : {std::tuple{'R', ProcessState::kRunning, "running"},
                                            {'S', ProcessState::kSleeping, "sleeping"},
                                            {'I', ProcessState::kSleeping, "sleeping"},
                                            {'T', ProcessState::kStopped, "stopped"},
                                            {'t', ProcessState::kStopped, "stopped"},
                                            {'D', ProcessState::kUninterruptible, "D, in the kernel"},
                                            {'Z', ProcessState::kGone, "gone"},
                                            {'X', ProcessState::kGone, "gone"}}) {
    std::ofstream(directory / "stat") << "812 (lockstep-rank) " << letter << " 1 812";
    EXPECT_EQ(process_state(directory.path().string()), state) << letter;
    EXPECT_STREQ(name_of(state), name);
  }
}

}  // namespace
}  // namespace lockstep

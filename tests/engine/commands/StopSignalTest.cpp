#include "engine/commands/StopSignal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <initializer_list>

namespace lockstep {
namespace {

// In processes of their own: a request stays.
void expect_requested(int number, bool before) {
  EXPECT_EXIT(
      {
        sigset_t signals;
        sigemptyset(&signals);
        sigaddset(&signals, number);
        pthread_sigmask(SIG_BLOCK, &signals, nullptr);
        if (before) ::raise(number);
        const StopSignal stop(false);
        if (!before) {
          if (stop.requested()) ::_exit(1);
          ::raise(number);
        }
        ::_exit(stop.requested() && !stop.half_over() ? 0 : 2);
      },
      testing::ExitedWithCode(0), "")
      << number;
}

TEST(StopSignal, BothSignalsAreRequests) {
  for (const int number : {SIGUSR1, SIGTERM}) expect_requested(number, false);
}

// A signal at the start, while the program loads.
TEST(StopSignal, OneThatHasWaitedCounts) {
  for (const int number : {SIGUSR1, SIGTERM}) expect_requested(number, true);
}

TEST(StopSignal, AParentThatEndsALaunchedRankIsNoRequest) {
  for (const bool launched : {false, true}) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const StopSignal stop(launched);
      if (::write(ready[1], "x", 1) != 1) ::_exit(1);
      while (!stop.requested()) ::usleep(1000);
      ::_exit(0);
    }
    char byte = 0;
    ASSERT_EQ(::read(ready[0], &byte, 1), 1);
    ::kill(child, SIGTERM);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(WIFSIGNALED(status), launched);
    for (const int end : ready) ::close(end);
  }
}

}  // namespace
}  // namespace lockstep

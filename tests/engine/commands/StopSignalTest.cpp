#include "engine/commands/StopSignal.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <initializer_list>
#include <thread>

namespace lockstep {
namespace {

void await(const StopSignal& stop) {
  while (!stop.requested()) ::usleep(1000);
}

// In processes of their own: a signal is the process's.
void expect_requested(int number, bool before) {
  EXPECT_EXIT(
      {
        sigset_t signals;
        sigemptyset(&signals);
        sigaddset(&signals, number);
        pthread_sigmask(SIG_BLOCK, &signals, nullptr);
        if (before) ::kill(::getpid(), number);
        const StopSignal stop(false);
        if (!before) {
          if (stop.requested()) ::_exit(1);
          ::kill(::getpid(), number);
        }
        await(stop);
        ::_exit(stop.half_over() ? 2 : 0);
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

// Whoever started this process may have ignored it.
TEST(StopSignal, OneThatWasIgnoredCounts) {
  EXPECT_EXIT(
      {
        ::signal(SIGTERM, SIG_IGN);
        const StopSignal stop(false);
        ::kill(::getpid(), SIGTERM);
        await(stop);
        ::_exit(0);
      },
      testing::ExitedWithCode(0), "");
}

// As MPI, while it starts, and its threads may not expect.
TEST(StopSignal, NoCallIsInterrupted) {
  EXPECT_EXIT(
      {
        const StopSignal stop(false);
        int interrupted = 0;
        const auto waits = [&interrupted] { interrupted += ::poll(nullptr, 0, 300) != 0 ? 1 : 0; };
        std::thread other(waits);
        std::thread sender([] {
          for (int i = 0; i < 10; ++i) {
            ::usleep(10'000);
            ::kill(::getpid(), i % 2 == 0 ? SIGTERM : SIGUSR1);
          }
        });
        if (::poll(nullptr, 0, 300) != 0) ::_exit(1);
        other.join();
        sender.join();
        ::_exit(stop.requested() ? interrupted : 2);
      },
      testing::ExitedWithCode(0), "");
}

TEST(StopSignal, MayEndWithoutARequest) {
  { const StopSignal stop(false); }
  sigset_t blocked;
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  EXPECT_TRUE(sigismember(&blocked, SIGTERM));
}

TEST(StopSignal, AParentThatEndsALaunchedRankIsNoRequest) {
  for (const bool launched : {false, true}) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const StopSignal stop(launched);
      if (::write(ready[1], "x", 1) != 1) ::_exit(1);
      await(stop);
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

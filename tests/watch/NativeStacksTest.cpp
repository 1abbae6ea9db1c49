// Ranks are child processes here.
#include "watch/NativeStacks.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "watch/ProcessState.h"
#include "watch/RankPosition.h"
#include "watch/RankState.h"

namespace lockstep {

// With a name in the symbol table, and a frame.
[[gnu::noinline]] void rank_is_here(const std::atomic<std::uint64_t>& never) {
  while (never == 0) {
  }
}
[[gnu::noinline]] void other_thread_is_here() {
  for (;;) ::pause();
}

namespace {

class NativeStacks : public testing::Test {
 protected:
  /// A rank with three threads, of which two are in the same place.
  NativeStacks() {
    rank_ = ::fork();
    if (rank_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const StackAnswers answers(page_);
      std::thread first(other_thread_is_here);
      std::thread second(other_thread_is_here);
      page_.pid = ::getpid();
      rank_is_here(page_.step);
      std::_Exit(0);
    }
    while (page_.pid == 0 || threads_of(rank_).size() < 3) ::usleep(1000);
    ::usleep(50'000);
  }
  ~NativeStacks() override {
    ::kill(rank_, SIGKILL);
    ::waitpid(rank_, nullptr, 0);
  }

  void await(ProcessState state) const {
    while (process_state(rank_) != state) ::usleep(1000);
  }

  RankPages pages_{1};
  RankPage& page_ = pages_[0];
  pid_t rank_ = 0;
};

void expect_both(const std::string& stacks) {
  EXPECT_NE(stacks.find("lockstep::rank_is_here(std::atomic<unsigned long> const&)+0x"), std::string::npos) << stacks;
  const std::size_t other = stacks.find("lockstep::other_thread_is_here()+0x");
  ASSERT_NE(other, std::string::npos) << stacks;
  EXPECT_EQ(stacks.find("lockstep::other_thread_is_here()", other + 1), std::string::npos)
      << "equal stacks are grouped";
  EXPECT_NE(stacks.find("threads "), std::string::npos);
}

TEST_F(NativeStacks, ARankThatComputesGoesOn) {
  expect_both(stacks_of(page_));
  expect_both(stacks_of(page_));
  page_.step = 1;
  int status = 0;
  ASSERT_EQ(::waitpid(rank_, &status, 0), rank_);
  EXPECT_EQ(status, 0);
}

TEST_F(NativeStacks, ARankThatIsStoppedTellsAndGoesNoFurther) {
  ::kill(rank_, SIGSTOP);
  await(ProcessState::kStopped);
  page_.step = 1;  // it would end if it went on
  expect_both(stacks_of(page_));
  ::usleep(50'000);
  EXPECT_EQ(::waitpid(rank_, nullptr, WNOHANG), 0);
}

TEST_F(NativeStacks, WhoDoesNotAnswerIsShownAsTheSystemSeesIt) {
  page_.stacks = RankPage::kThreads;  // no room
  const std::string stacks = [&] {
    RankPages none(1);
    none[0].pid = rank_;  // asks through a page that the rank does not have
    return stacks_of(none[0], std::chrono::milliseconds(50));
  }();
  EXPECT_NE(stacks.find("running"), std::string::npos) << stacks;
  EXPECT_NE(stacks.find("sleeping"), std::string::npos) << stacks;
}

TEST_F(NativeStacks, ItsPageIsReadWhileItIsStoppedAndWhenItIsGone) {
  EXPECT_EQ(state_of(page_, "a").process, ProcessState::kRunning);
  ::kill(rank_, SIGSTOP);
  await(ProcessState::kStopped);
  EXPECT_EQ(state_of(page_, "a").process, ProcessState::kStopped);
  ::kill(rank_, SIGKILL);
  await(ProcessState::kGone);
  EXPECT_EQ(state_of(page_, "a").process, ProcessState::kGone);
}

TEST(RankPages, AreReachedByTheirPathAndByNoOther) {
  const RankPages pages(3);
  auto opened = RankPages::open(pages.path());
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->size(), 3);
  RankPosition((&(*opened)[2])).enter(Phase::kBackward);
  EXPECT_EQ(state_of(pages[2], "").phase, Phase::kBackward);
  EXPECT_FALSE(RankPages::open("/proc/self/exe"));
  EXPECT_FALSE(RankPages::open("/nowhere"));
  EXPECT_FALSE(RankPages::open(""));
}

}  // namespace
}  // namespace lockstep

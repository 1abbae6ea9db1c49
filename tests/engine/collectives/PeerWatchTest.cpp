// Ranks are processes of this test here, with a communicator in shared memory: no mpirun ends those that stay when one
// is killed.
#include "engine/collectives/PeerWatch.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

namespace lockstep {
namespace {

constexpr int kRanks = 4;
constexpr unsigned kSecondsToLive = 60;  // a rank that notices nothing

/// What the processes share.
struct Board {
  pthread_barrier_t barrier;
  char texts[kRanks][1024];
  char losses[kRanks][1024];  ///< "EXIT_CODE TO_TELL REASON"
  std::size_t unwatched[kRanks];
};

/// Gathers texts, and nothing else.
class BoardCommunicator : public Communicator {
 public:
  BoardCommunicator(Board& board, int rank) : board_(board), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return kRanks; }
  std::vector<std::string> do_gather_texts(std::string_view text) override {
    std::memset(board_.texts[rank_], 0, sizeof board_.texts[rank_]);
    text.copy(board_.texts[rank_], sizeof board_.texts[rank_] - 1);
    pthread_barrier_wait(&board_.barrier);
    std::vector<std::string> all(board_.texts, board_.texts + kRanks);
    pthread_barrier_wait(&board_.barrier);
    return all;
  }

  std::unique_ptr<Work> do_all_reduce(void*, std::size_t, DataType, ReduceOp) override { return refuse(); }
  std::unique_ptr<Work> do_reduce_scatter(const void*, void*, std::size_t, DataType, ReduceOp) override {
    return refuse();
  }
  std::unique_ptr<Work> do_all_gather(const void*, void*, std::size_t, DataType) override { return refuse(); }
  std::unique_ptr<Work> do_broadcast(void*, std::size_t, DataType, int) override { return refuse(); }
  void do_barrier() override { refuse(); }
  [[noreturn]] void abort(int exit_code) override { std::_Exit(exit_code); }

 private:
  static std::unique_ptr<Work> refuse() { throw std::logic_error("not asked of this communicator"); }

  Board& board_;
  int rank_;
};

/// Rank 0 is reached nowhere: its address is one that documents use.
class LostCommunicator : public BoardCommunicator {
 public:
  using BoardCommunicator::BoardCommunicator;
  std::vector<std::string> do_gather_texts(std::string_view text) override {
    const std::string elsewhere = std::string(text.substr(0, text.find(' '))) + " 9 192.0.2.1";
    return BoardCommunicator::do_gather_texts(text.find(' ') == std::string_view::npos ? text : elsewhere);
  }
};

class PeerWatchTest : public testing::Test {
 protected:
  PeerWatchTest()
      : board_(*static_cast<Board*>(
            ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&board_.barrier, &shared, kRanks);
  }
  ~PeerWatchTest() override { ::munmap(&board_, sizeof board_); }

  /// Runs `live` in every rank; returns how they ended: exit codes, or minus the signal.
  template <typename TheCommunicator = BoardCommunicator>
  std::vector<int> run(const std::function<void(int rank, PeerWatch& watch)>& live) {
    std::vector<pid_t> children;
    for (int rank = 0; rank < kRanks; ++rank) {
      const pid_t child = ::fork();
      if (child == 0) {
        ::alarm(kSecondsToLive);
        TheCommunicator communicator(board_, rank);
        const auto lost = [this, rank](const PeerWatch::Loss& loss) {
          const std::string text =
              std::to_string(loss.exit_code) + (loss.to_tell ? " tells " : " keeps ") + loss.reason;
          text.copy(board_.losses[rank], sizeof board_.losses[rank] - 1);
          std::_Exit(loss.exit_code);
        };
        {
          const auto last_place = [](int lost_rank) { return lost_rank == 2 ? "it was last in step 11" : ""; };
          PeerWatch watch(communicator, "h" + std::to_string(rank), lost, {.last_place = last_place},
                          std::chrono::milliseconds(500));
          board_.unwatched[rank] = watch.unwatched().size();
          live(rank, watch);
        }
        std::_Exit(0);
      }
      children.push_back(child);
    }
    std::vector<int> codes;
    for (const pid_t child : children) {
      int status = 0;
      ::waitpid(child, &status, 0);
      codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    }
    return codes;
  }

  std::vector<std::string> losses() const { return {board_.losses, board_.losses + kRanks}; }

  Board& board_;
};

// What a rank does that waits for the others in a collective.
[[noreturn]] void wait_for_ever() {
  for (;;) ::pause();
}

using Codes = std::vector<int>;
using Texts = std::vector<std::string>;

// A rank that was killed: all others end, and say who it was.
TEST_F(PeerWatchTest, AllNoticeARankThatIsKilled) {
  const Codes codes = run([](int rank, PeerWatch&) {
    if (rank == 2) ::raise(SIGKILL);
    wait_for_ever();
  });
  EXPECT_EQ(codes, (Codes{3, 3, -SIGKILL, 3}));
  const std::string text =
      "rank 2 on h2 is gone: it has ended without a word; it was killed, or its machine has run out of memory; it was "
      "last in step 11";
  EXPECT_EQ(losses(), (Texts{"3 tells " + text, "3 keeps " + text, "", "3 keeps " + text}));
}

TEST_F(PeerWatchTest, AllNoticeThatRank0IsKilled) {
  const Codes codes = run([](int rank, PeerWatch&) {
    if (rank == 0) ::raise(SIGKILL);
    wait_for_ever();
  });
  EXPECT_EQ(codes, (Codes{-SIGKILL, 3, 3, 3}));
  EXPECT_TRUE(losses()[1].starts_with("3 tells rank 0 on h0 is gone")) << losses()[1];
  EXPECT_TRUE(losses()[1].ends_with("out of memory")) << losses()[1];
  EXPECT_TRUE(losses()[3].starts_with("3 keeps rank 0 on h0 is gone")) << losses()[3];
}

TEST_F(PeerWatchTest, ARankThatFailsTellsTheOthersWhy) {
  for (int i = 0; i < 40; ++i) {  // rank 0 tells one after the other, and the first may have ended by then
    const int teller = i % 4 == 0 ? 3 : 0;
    const Codes codes = run([&](int rank, PeerWatch& watch) {
      if (rank == teller) {
        watch.tell("rank has met a bad file", 7);
        std::_Exit(7);
      }
      wait_for_ever();
    });
    ASSERT_EQ(codes, (Codes{7, 7, 7, 7}));
    EXPECT_EQ(losses()[1], "7 keeps rank has met a bad file");
  }
}

TEST_F(PeerWatchTest, ThoseThatTakeLeaveAreNotMissed) {
  const Codes codes = run([](int rank, PeerWatch&) { ::usleep(static_cast<unsigned>(rank % 3) * 50'000); });
  EXPECT_EQ(codes, (Codes{0, 0, 0, 0}));
  EXPECT_EQ(losses(), (Texts{"", "", "", ""}));
}

TEST_F(PeerWatchTest, KnowsWhoCannotBeWatched) {
  EXPECT_EQ(run<LostCommunicator>([](int, PeerWatch&) {}), (Codes{0, 0, 0, 0}));
  for (const std::size_t count : board_.unwatched) EXPECT_EQ(count, 3U);
}

}  // namespace
}  // namespace lockstep

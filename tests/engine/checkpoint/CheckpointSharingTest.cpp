#include "engine/checkpoint/CheckpointSharing.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <chrono>
#include <fstream>
#include <map>

#include "common/Error.h"
#include "common/File.h"
#include "engine/checkpoint/CheckpointState.h"
#include "engine/checkpoint/ResumeChoice.h"
#include "engine/collectives/MpiCommunicator.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPiece = 64;

/// Passes everything on, looks at the pieces, and does `before_piece` before each.
class WatchedCommunicator : public Communicator {
 public:
  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  std::unique_ptr<Work> do_all_reduce(void* buffer, std::size_t count, DataType type, ReduceOp op) override {
    return inner_.all_reduce(buffer, count, type, op);
  }
  std::unique_ptr<Work> do_reduce_scatter(const void* buffer, void* output, std::size_t count, DataType type,
                                          ReduceOp op) override {
    return inner_.reduce_scatter(buffer, output, count, type, op);
  }
  std::unique_ptr<Work> do_all_gather(const void* input, void* output, std::size_t count, DataType type) override {
    return inner_.all_gather(input, output, count, type);
  }
  std::unique_ptr<Work> do_broadcast(void* buffer, std::size_t count, DataType type, int root) override {
    if (before_piece) before_piece();
    ++pieces;
    largest = std::max(largest, count * size_of(type));
    return inner_.broadcast(buffer, count, type, root);
  }
  void do_barrier() override { inner_.barrier(); }
  [[noreturn]] void abort(int exit_code) override { inner_.abort(exit_code); }

  std::function<void()> before_piece;
  int pieces = 0;
  std::size_t largest = 0;

 private:
  MpiCommunicator inner_{mpi_session(), MpiMode::kInline};
};

using Steps = std::vector<std::int64_t>;

/// Each rank has a directory of its own and is a host.
class CheckpointSharingTest : public testing::Test {
 protected:
  CheckpointDirectory directory() const { return {path_, job_}; }
  int rank() const { return communicator_.rank(); }
  int ranks() const { return communicator_.size(); }

  static std::string bytes(std::size_t count, char first) {
    std::string text(count, '\0');
    for (std::size_t i = 0; i < count; ++i) text[i] = static_cast<char>(first + static_cast<char>(i * 7 % 101));
    return text;
  }
  void write(std::int64_t step, char content = 'a') const { write(step, content, job_); }
  void write(std::int64_t step, char content, const JobItems& job) const {
    CheckpointDirectory(path_, job).write(step, [&](const fs::path& made) {
      std::ofstream(made / kStateFile) << write_state({.step = step, .job = job});
      for (const std::size_t size : {0UL, 1UL, kPiece - 1, kPiece, kPiece + 1, 3 * kPiece + 7}) {
        std::ofstream(made / ("of-" + std::to_string(size) + ".safetensors")) << bytes(size, content);
      }
    });
  }
  /// One byte that only the checksum tells.
  void damage(std::int64_t step) const {
    std::fstream(directory().path_of(step) / "of-64.safetensors", std::ios::in | std::ios::out) << 'X';
  }
  std::optional<BroughtCheckpoint> bring() { return bring_as(rank()); }
  std::optional<BroughtCheckpoint> bring_as(int host) {
    return bring_checkpoint(communicator_, directory(), check_, host, kPiece);
  }
  ResumeChoice choose() { return choose_checkpoint(communicator_, directory(), check_); }
  Steps steps() const {
    Steps found;
    for (const ListedCheckpoint& checkpoint : directory().list()) found.push_back(checkpoint.step);
    return found;
  }
  /// Every file of the directory, with its content.
  std::map<std::string, std::string> content() const {
    std::map<std::string, std::string> files;
    if (!fs::exists(path_)) return files;
    for (const auto& entry : fs::recursive_directory_iterator(path_)) {
      const std::string name = fs::relative(entry.path(), path_).string();
      files[name] = entry.is_regular_file() ? read_file(entry.path(), 1 << 20) : "";
    }
    return files;
  }
  std::string shared_path() { return communicator_.all_gather(path_.string()).at(0); }

  CheckpointCheck check_ = [this](std::int64_t step) { directory().verify(step); };
  JobItems job_ = {{"data", "1"}, {"hyperparameter seed", "1"}};
  WatchedCommunicator communicator_;
  TemporaryDirectory place_;
  fs::path path_ = place_ / "checkpoints";
};

TEST_F(CheckpointSharingTest, ItComesByteForByteInPieces) {
  if (rank() == 0) write(40);
  const auto brought = bring();
  ASSERT_TRUE(brought);
  EXPECT_EQ(brought->step, 40);
  EXPECT_EQ(brought->hosts, ranks() - 1);
  EXPECT_EQ(communicator_.largest, kPiece);
  std::string all;
  for (const auto& [name, text] : content()) all.append(name).append("=").append(text).append("\n");
  EXPECT_NE(all.find("step-000000040/of-199.safetensors=" + bytes(199, 'a')), std::string::npos);
  for (const std::string& other : communicator_.all_gather(all)) EXPECT_EQ(other, all);
  EXPECT_EQ(content().size(), 9) << "the checkpoint, its seven files and the manifest";
  EXPECT_EQ(choose().step, 40);
  EXPECT_FALSE(bring()) << "all have it";
}

TEST_F(CheckpointSharingTest, NothingThereBringsNothing) {
  EXPECT_FALSE(bring());
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(CheckpointSharingTest, ASharedDirectoryIsNotTouched) {
  if (rank() == 0) {
    for (const int step : {20, 40}) write(step);
    damage(20);
  }
  path_ = shared_path();
  const auto before = content();
  if (rank() == 0) fs::last_write_time(path_, fs::file_time_type::clock::now() - std::chrono::hours(1));
  communicator_.barrier();
  const auto past = fs::last_write_time(path_);
  EXPECT_FALSE(bring());
  communicator_.barrier();
  EXPECT_EQ(communicator_.pieces, 0);
  EXPECT_EQ(fs::last_write_time(path_), past) << "something was made in it, if only for a while";
  EXPECT_EQ(content(), before);
  EXPECT_EQ(choose().step, 40);
  communicator_.barrier();
}

// Ranks 1 and 2 are one host, and call its directory by two names.
TEST_F(CheckpointSharingTest, OneRankWritesForAllThatNameItsDirectory) {
  if (rank() == 0) write(40);
  const std::vector<std::string> paths = communicator_.all_gather(place_.path().string());
  if (rank() == 2) {
    fs::create_directory_symlink(paths.at(1), place_ / "link");
    path_ = place_ / "link" / "checkpoints";
  }
  const auto brought = bring_as(std::min(rank(), 1));
  ASSERT_TRUE(brought);
  EXPECT_EQ(brought->hosts, 1);
  EXPECT_EQ(content().size(), 9);
  EXPECT_EQ(choose().step, 40);
  communicator_.barrier();
}

// Two hosts share what rank 0 does not see, and nothing says so: both write.
TEST_F(CheckpointSharingTest, HostsMayShareWithoutRankZero) {
  const std::vector<std::string> paths = communicator_.all_gather(path_.string());
  if (rank() > 0) path_ = paths.at(1);
  for (int step = 1; step <= 30; ++step) {
    if (rank() == 0) write(step);
    const auto brought = bring();
    ASSERT_TRUE(brought);
    if (brought->here) {
      EXPECT_TRUE(directory().keep_newest(2, step).empty());
    }
    EXPECT_EQ(brought->step, step);
    EXPECT_EQ(choose().step, step);
    communicator_.barrier();
  }
  if (rank() > 0) {
    EXPECT_EQ(content().size(), 18) << "two checkpoints and nothing else";
  }
  communicator_.barrier();
}

// The directory is shared after all, and this host has seen that late.
TEST_F(CheckpointSharingTest, WhatHasComeMeanwhileIsNotReplaced) {
  if (rank() == 0) write(40);
  const fs::path found = directory().path_of(40) / "manifest.json";
  const auto past = fs::file_time_type::clock::now() - std::chrono::hours(1);
  if (rank() == 1) {
    communicator_.before_piece = [&] {
      if (fs::exists(found)) return;
      write(40);
      fs::last_write_time(found, past);
    };
  }
  const auto brought = bring();
  ASSERT_TRUE(brought);
  EXPECT_EQ(brought->here, rank() > 1);
  if (rank() == 1) {
    EXPECT_EQ(fs::last_write_time(found), past);
  }
  EXPECT_EQ(content().size(), 9);
  EXPECT_EQ(choose().step, 40);
}

TEST_F(CheckpointSharingTest, RanksOfRankZerosHostHaveIt) {
  const std::string shared = shared_path();
  if (rank() == 1) path_ = shared;
  if (rank() == 0) write(40);
  communicator_.barrier();
  const auto brought = bring_as(rank() == 2 ? 1 : 0);
  EXPECT_EQ(brought.has_value(), ranks() > 2);
  if (brought) {
    EXPECT_EQ(brought->hosts, 1);
  }
  EXPECT_EQ(choose().step, 40);
  communicator_.barrier();
}

// Its files are as they were written, but nobody could go on from what they hold: the one before it is wanted.
TEST_F(CheckpointSharingTest, OneThatCannotBeUsedIsNotBrought) {
  if (rank() == 0) {
    for (const int step : {20, 40}) write(step);
  }
  check_ = [](std::int64_t step) {
    if (step == 40) throw InputError("not finite");
  };
  const auto brought = bring();
  ASSERT_TRUE(brought);
  EXPECT_EQ(brought->step, 20);
  EXPECT_EQ(choose().step, 20);
}

TEST_F(CheckpointSharingTest, ADamagedOneIsNotBrought) {
  if (rank() == 0) {
    for (const int step : {20, 40, 60}) write(step);
    damage(40);
    fs::resize_file(directory().path_of(60) / "of-1.safetensors", 0);
  }
  const auto brought = bring();
  ASSERT_TRUE(brought);
  EXPECT_EQ(brought->step, 20);
  if (rank() > 0) {
    EXPECT_EQ(steps(), (Steps{20}));
  }
  const ResumeChoice choice = choose();
  EXPECT_EQ(choice.step, 20);
  EXPECT_EQ(choice.passed_over.size(), 2);
}

TEST_F(CheckpointSharingTest, OnlyDamagedOnesBringNothing) {
  if (rank() == 0) {
    write(40);
    damage(40);
  }
  EXPECT_FALSE(bring());
  EXPECT_FALSE(rank() > 0 && fs::exists(path_));
  EXPECT_FALSE(choose().step);
}

TEST_F(CheckpointSharingTest, OlderOnesAreNotNeededWhereTheNewestIs) {
  write(40);
  if (rank() == 0) write(20);
  EXPECT_FALSE(bring());
  EXPECT_EQ(steps(), rank() == 0 ? (Steps{40, 20}) : (Steps{40}));
}

TEST_F(CheckpointSharingTest, AnOlderOneIsBroughtWhereTheNewestIsDamaged) {
  write(40);
  if (rank() == 0) write(20);
  if (rank() == 1) damage(40);
  const auto brought = bring();
  ASSERT_TRUE(brought);
  EXPECT_EQ(brought->step, 20);
  EXPECT_EQ(choose().step, 20);
}

TEST_F(CheckpointSharingTest, AnotherOneUnderItsNameStays) {
  write(40, rank() == 1 ? 'b' : 'a');
  if (rank() == 0) write(20);
  const auto brought = bring();
  ASSERT_TRUE(brought);
  EXPECT_EQ(brought->step, 20);
  EXPECT_EQ(content()["step-000000040/of-1.safetensors"], rank() == 1 ? "b" : "a");
  EXPECT_EQ(choose().step, 20);
}

// As when the leader was replaced: its directory is empty, or has older ones.
TEST_F(CheckpointSharingTest, TheNewestIsBroughtFromWhereverItIs) {
  if (rank() == 0) write(20);
  if (rank() == ranks() - 1) write(40);
  const auto brought = bring();
  ASSERT_TRUE(brought);
  EXPECT_EQ(brought->step, 40);
  EXPECT_EQ(brought->hosts, ranks() - 1);
  EXPECT_EQ(brought->here, rank() < ranks() - 1);
  EXPECT_EQ(steps(), rank() == 0 ? (Steps{40, 20}) : (Steps{40}));
  EXPECT_EQ(choose().step, 40);
}

TEST_F(CheckpointSharingTest, ADamagedOneElsewhereIsNotBrought) {
  if (rank() == 0) write(20);
  if (rank() == ranks() - 1) {
    write(40);
    damage(40);
  }
  const auto brought = bring();
  ASSERT_TRUE(brought);
  EXPECT_EQ(brought->step, 20);
  EXPECT_EQ(choose().step, 20);
}

TEST_F(CheckpointSharingTest, EachDirectoryHasOneRankThatWrites) {
  EXPECT_TRUE(has_own_place(communicator_, directory(), rank()));
  EXPECT_TRUE(fs::is_empty(path_));
  EXPECT_TRUE(has_own_place(communicator_, directory(), 0)) << "one host, directories of several names";
  communicator_.barrier();
  path_ = shared_path();
  EXPECT_EQ(has_own_place(communicator_, directory(), 0), rank() == 0) << "one host";
  EXPECT_EQ(has_own_place(communicator_, directory(), rank()), rank() == 0) << "hosts that share it";
  communicator_.barrier();
  EXPECT_TRUE(fs::is_empty(path_));
  communicator_.barrier();
}

// A host that was in the job before has checkpoints of then.
TEST_F(CheckpointSharingTest, WhatIsThereStays) {
  if (rank() == 0) {
    for (const int step : {30, 40}) write(step);
  } else {
    for (const int step : {10, 20}) write(step, 'b');
    write(60, 'b');
    damage(60);
    write(50, 'c', {{"data", "another job's"}});
    fs::create_directories(path_ / (".partial-" + directory().job_digest() + "-x"));
    fs::create_directories(path_ / ".partial-0123456789abcdef-x");
  }
  ASSERT_TRUE(bring());
  EXPECT_EQ(steps(), rank() == 0 ? (Steps{40, 30}) : (Steps{60, 50, 40, 20, 10}));
  EXPECT_FALSE(fs::exists(path_ / (".partial-" + directory().job_digest() + "-x")));
  EXPECT_EQ(fs::exists(path_ / ".partial-0123456789abcdef-x"), rank() > 0);
  EXPECT_EQ(choose().step, 40);
}

TEST_F(CheckpointSharingTest, AnotherJobsIsRefusedAsEver) {
  if (rank() == 0) write(40, 'a', {{"data", "1"}, {"hyperparameter seed", "2"}});
  EXPECT_FALSE(bring());
  EXPECT_FALSE(rank() > 0 && fs::exists(path_));
  EXPECT_ERROR(choose(), CollectiveError, "rank 0", "hyperparameter seed was 2 and is 1");
}

TEST_F(CheckpointSharingTest, ADirectoryThatCannotBeMadeIsEveryonesError) {
  const std::vector<std::string> places = communicator_.all_gather(place_.path().string());
  if (rank() == 0) write(40);
  if (rank() == 1) {
    std::ofstream(place_ / "file") << "x";
    path_ = place_ / "file" / "checkpoints";
  }
  EXPECT_ERROR(bring(), CollectiveError, "rank 1 of " + std::to_string(ranks()), "step-000000040",
               "cannot make the directory " + places.at(1) + "/file/checkpoints", "resume=never");
  if (rank() == 1) {
    EXPECT_EQ(std::distance(fs::directory_iterator(place_.path()), {}), 1);
  }
}

TEST_F(CheckpointSharingTest, AFullDiskIsEveryonesErrorAndLeavesNothing) {
  const std::vector<std::string> paths = communicator_.all_gather(path_.string());
  if (rank() == 0) write(40);
  if (rank() == 1) write(20);
  const auto before = content();
  // In the middle of a file and of a checkpoint.
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  if (rank() == 1) {
    const rlimit low{.rlim_cur = 2 * kPiece, .rlim_max = old.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &low), 0);
  }
  EXPECT_ERROR(bring(), CollectiveError, "rank 1 of " + std::to_string(ranks()), "step-000000040",
               "cannot write " + paths.at(1) + "/.partial-", "safetensors: File too large", "resume=never");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  ::signal(SIGXFSZ, handler);
  if (rank() == 1) {
    EXPECT_EQ(content(), before);
  }
  // The others have it: the next start has less to do.
  const auto brought = bring();
  ASSERT_TRUE(brought);
  EXPECT_EQ(brought->hosts, 1);
}

TEST_F(CheckpointSharingTest, WhatChangesOnTheWayIsNotTaken) {
  if (rank() == 0) {
    write(40);
    communicator_.before_piece = [this, done = false]() mutable {
      if (!done) damage(40);
      done = true;
    };
  }
  EXPECT_ERROR(bring(), CollectiveError, "rank 1 of " + std::to_string(ranks()), "step-000000040",
               "has not come out as it was");
  EXPECT_FALSE(rank() > 0 && !fs::is_empty(path_));
}

TEST_F(CheckpointSharingTest, WhatBecomesShorterOnTheWayIsNotTaken) {
  if (rank() == 0) {
    write(40);
    communicator_.before_piece = [this] { fs::resize_file(directory().path_of(40) / "of-199.safetensors", 100); };
  }
  EXPECT_ERROR(bring(), CollectiveError, "rank 0 of " + std::to_string(ranks()), "step-000000040",
               "of-199.safetensors became shorter while it was read");
  EXPECT_FALSE(rank() > 0 && !fs::is_empty(path_));
}

}  // namespace
}  // namespace lockstep

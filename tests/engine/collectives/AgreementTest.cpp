#include "engine/collectives/Agreement.h"

#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/collectives/MpiCommunicator.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"

namespace lockstep {
namespace {

class AgreementTest : public testing::Test {
 protected:
  ExitCode exit_code(const std::function<void()>& phase) {
    try {
      require_all_ok(communicator_, phase);
    } catch (const CollectiveError& error) {
      return error.exit_code();
    }
    return kExitDone;
  }

  MpiCommunicator communicator_{mpi_session(), MpiMode::kInline};
  bool alone_ = communicator_.size() == 1;
  bool last_ = communicator_.rank() == communicator_.size() - 1;
  std::string last_rank_ = std::to_string(communicator_.size() - 1);
};

using Items = std::vector<std::pair<std::string, std::string>>;

TEST_F(AgreementTest, EqualItemsPass) {
  EXPECT_NO_THROW(require_agreement(communicator_, {}));
  EXPECT_NO_THROW(require_agreement(communicator_, {{"seed", "1"}, {"a:b", std::string("x\0y:3", 5)}, {"empty", ""}}));
}

TEST_F(AgreementTest, NamesTheFirstDifferenceOnEveryRank) {
  if (alone_) return;  // nobody to differ from
  const std::string own = last_ ? "2" : "1";
  EXPECT_ERROR(require_agreement(communicator_, {{"version", "7"}, {"seed", own}, {"program", own}}), CollectiveError,
               "rank 0 has seed = \"1\"", "rank " + last_rank_ + " has seed = \"2\"");
}

TEST_F(AgreementTest, AMissingItemIsADifference) {
  if (alone_) return;
  Items items = {{"data of channel train", "abc"}};
  if (!last_) items.emplace_back("data of channel test", "def");
  EXPECT_ERROR(require_agreement(communicator_, items), CollectiveError, "rank 0 has data of channel test = \"def\"",
               "rank " + last_rank_ + " has nothing");
}

TEST_F(AgreementTest, ItemsAreNotConfusedByTheirBytes) {
  if (alone_) return;
  const Items items = last_ ? Items{{"a", "b1:c"}} : Items{{"a1:b", "c"}};
  EXPECT_THROW(require_agreement(communicator_, items), CollectiveError);
}

TEST_F(AgreementTest, APhaseThatGoesWellEverywherePasses) {
  bool ran = false;
  EXPECT_NO_THROW(require_all_ok(communicator_, [&] { ran = true; }));
  EXPECT_TRUE(ran);
}

TEST_F(AgreementTest, OneRanksFailureReachesAllWithItsName) {
  const auto phase = [&] {
    if (last_) throw InputError("train/images is not a file");
  };
  if (alone_) {
    EXPECT_ERROR(require_all_ok(communicator_, phase), CollectiveError, "train/images is not a file");
  } else {
    EXPECT_ERROR(require_all_ok(communicator_, phase), CollectiveError,
                 "rank " + last_rank_ + " of " + std::to_string(communicator_.size()) + ": train/images is not a file");
  }
  EXPECT_EQ(exit_code(phase), kExitBadInput);
}

TEST_F(AgreementTest, TheSameFailureEverywhereIsToldOnce) {
  try {
    require_all_ok(communicator_, [] { throw InputError("no channel named train"); });
    ADD_FAILURE() << "nothing was thrown";
  } catch (const CollectiveError& error) {
    EXPECT_STREQ(error.what(), "no channel named train");
  }
}

TEST_F(AgreementTest, TheLowestFailingRankSpeaks) {
  const auto phase = [&] {
    if (communicator_.rank() == 0) return;
    throw SystemError("disk " + std::to_string(communicator_.rank()) + " is full");
  };
  if (alone_) return require_all_ok(communicator_, phase);
  EXPECT_ERROR(require_all_ok(communicator_, phase), CollectiveError, "disk 1 is full");
  EXPECT_EQ(exit_code(phase), kExitRankFailed);
}

TEST_F(AgreementTest, OtherExceptionsAreFailuresToo) {
  EXPECT_EQ(exit_code([] { throw std::runtime_error("x"); }), kExitInternal);
  EXPECT_EQ(exit_code([] { throw std::bad_alloc(); }), kExitRankFailed);
  EXPECT_EQ(exit_code([] { throw InternalError(""); }), kExitInternal);
}

class ComparedCollectivesTest : public testing::TestWithParam<MpiMode> {
 protected:
  ComparedCollectivesTest() {
    std::vector<std::string> names;
    for (int rank = 0; rank < communicator_.size(); ++rank) names.push_back("rank " + std::to_string(rank) + " on a");
    communicator_.compare_by({.by = communicator_, .names = names, .where = [] { return " (phase backward)"; }});
  }
  std::string error_of(const std::function<void()>& collective) {
    try {
      collective();
    } catch (const CollectiveError& error) {
      return error.what();
    }
    return "";
  }

  MpiCommunicator communicator_{mpi_session(), GetParam()};
  int size_ = communicator_.size();
  int rank_ = communicator_.rank();
  bool odd_ = rank_ == size_ - 1 && size_ > 1;
  std::vector<float> values_ = std::vector<float>(64, 1);
};

TEST_P(ComparedCollectivesTest, EqualOnesAreMade) {
  communicator_.all_reduce(values_.data(), 8, DataType::kFloat32, ReduceOp::kSum)->wait();
  EXPECT_EQ(values_[7], static_cast<float>(size_));
  communicator_.barrier();
  EXPECT_EQ(communicator_.all_gather(std::to_string(rank_)).back(), std::to_string(size_ - 1));
}

TEST_P(ComparedCollectivesTest, TheRankThatDiffersIsNamedOnAll) {
  const std::string other = "rank " + std::to_string(size_ - 1) + " on a makes collective 1 (";
  const std::string size = error_of(
      [&] { communicator_.all_reduce(values_.data(), odd_ ? 7 : 8, DataType::kFloat32, ReduceOp::kSum)->wait(); });
  if (size_ == 1) {
    EXPECT_EQ(size, "");
    return;
  }
  // Of two, none is most: both are named.
  if (size_ > 2) {
    EXPECT_TRUE(size.starts_with(other + "all_reduce of 7 float32), and ")) << size;
  }
  EXPECT_NE(size.find("all_reduce of 7 float32"), std::string::npos) << size;
  EXPECT_NE(size.find("all_reduce of 8 float32"), std::string::npos) << size;
  EXPECT_TRUE(size.ends_with(" (phase backward)"));
  const std::string type = error_of([&] {
    communicator_.all_reduce(values_.data(), 4, odd_ ? DataType::kFloat64 : DataType::kFloat32, ReduceOp::kSum)->wait();
  });
  EXPECT_NE(type.find("all_reduce of 4 float64"), std::string::npos) << type;
  const std::string kind = error_of([&] {
    odd_ ? communicator_.barrier() : communicator_.broadcast(values_.data(), 4, DataType::kFloat32, 0)->wait();
  });
  EXPECT_NE(kind.find("(barrier)"), std::string::npos) << kind;
  communicator_.all_reduce(values_.data(), 8, DataType::kFloat32, ReduceOp::kSum)->wait();  // all are in step again
}

INSTANTIATE_TEST_SUITE_P(Modes, ComparedCollectivesTest, testing::Values(MpiMode::kInline, MpiMode::kBackground));

}  // namespace
}  // namespace lockstep

#include "engine/collectives/Agreement.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

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

}  // namespace
}  // namespace lockstep

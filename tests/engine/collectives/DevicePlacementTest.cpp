#include "engine/collectives/DevicePlacement.h"

#include <gtest/gtest.h>

#include "common/Error.h"
#include "engine/collectives/MpiCommunicator.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"

namespace lockstep {
namespace {

TEST(ChooseDevice, IsTheRanksNumberOnItsHost) {
  EXPECT_EQ(choose_device({"algo-1", 0, 1, {}, 8}, false), 0);
  EXPECT_EQ(choose_device({"algo-1", 7, 8, 7, 8}, false), 7);
  EXPECT_EQ(choose_device({"algo-2", 1, 2, {}, 2}, false), 1);
}

TEST(ChooseDevice, LauncherAndMpiMustAgree) {
  EXPECT_ERROR(choose_device({"algo-2", 1, 4, 0, 8}, false), InputError, "algo-2", "number 1 of 4", "number 0",
               "mpirun");
  EXPECT_THROW(choose_device({"algo-2", 1, 4, 0, 8}, true), InputError);
}

TEST(ChooseDevice, EachRankNeedsADevice) {
  EXPECT_ERROR(choose_device({"algo-1", 0, 3, 0, 2}, false), InputError, "algo-1 has 3 ranks", "2 visible GPUs",
               "CUDA_VISIBLE_DEVICES");
  EXPECT_ERROR(choose_device({"algo-1", 0, 1, 0, 0}, true), InputError, "0 visible GPUs");
}

TEST(ChooseDevice, RanksMayShareWhereThatIsAllowed) {
  EXPECT_EQ(choose_device({"algo-1", 0, 3, {}, 2}, true), 0);
  EXPECT_EQ(choose_device({"algo-1", 1, 3, {}, 2}, true), 1);
  EXPECT_EQ(choose_device({"algo-1", 2, 3, {}, 2}, true), 0);
}

class DistinctDevicesTest : public testing::Test {
 protected:
  MpiCommunicator communicator_{mpi_session(), MpiMode::kInline};
  int rank_ = communicator_.rank();
  int size_ = communicator_.size();

  std::string require(const std::string& host, const std::string& device, bool shared_allowed = false) {
    return require_distinct_devices(communicator_, host, device, shared_allowed);
  }
};

TEST_F(DistinctDevicesTest, OneDeviceOfAHostForEachRankPasses) {
  EXPECT_EQ(require("algo-1", "0000:3B:00." + std::to_string(rank_)), "");
  EXPECT_EQ(require("algo-" + std::to_string(rank_), "0000:3B:00.0"), "");  // of different hosts
  EXPECT_EQ(require("algo-" + std::to_string(rank_), "0000:3B:00.0", true), "");
}

TEST_F(DistinctDevicesTest, ASharedDeviceIsRefusedOnEveryRankByName) {
  if (size_ == 1) return;  // nobody to share with
  const std::string device = rank_ >= size_ - 2 ? "0000:3B:00.0" : "0000:AF:00." + std::to_string(rank_);
  const std::string ranks = "ranks " + std::to_string(size_ - 2) + " and " + std::to_string(size_ - 1);
  EXPECT_ERROR(require("algo-1", device), CollectiveError, ranks + " on algo-1 both use GPU 0000:3B:00.0",
               "CUDA_VISIBLE_DEVICES");
  try {
    require("algo-1", device);
  } catch (const CollectiveError& error) {
    EXPECT_EQ(error.exit_code(), kExitBadInput);
  }
}

TEST_F(DistinctDevicesTest, RanksThatShareSetDifferentHostIds) {
  const std::string id = require("algo-1", "0000:3B:00." + std::to_string(rank_ % 2), true);
  EXPECT_EQ(id, rank_ < 2 ? "" : "algo-1#1");
  const std::string other = require("algo-1", "0000:3B:00.0", true);
  EXPECT_EQ(other, rank_ == 0 ? "" : "algo-1#" + std::to_string(rank_));
}

}  // namespace
}  // namespace lockstep

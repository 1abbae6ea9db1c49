#include "engine/commands/Failure.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <string>

namespace lockstep {
namespace {

template <typename Exception>
Failure failure_of(const Exception& error, bool training_began = false) {
  try {
    throw error;
  } catch (...) {
    return current_failure("training failed", training_began);
  }
}

c10::Error torch_error(const std::string& text) {
  return {{__func__, __FILE__, static_cast<uint32_t>(__LINE__)}, text};
}

TEST(Failure, AnErrorOfOursHasItsOwnCodeAndEndsTheOthers) {
  const Failure failure = failure_of(HostLostError("algo-2 is lost"));
  EXPECT_EQ(failure.text, "algo-2 is lost");
  EXPECT_EQ(failure.code, kExitHostLost);
  EXPECT_EQ(failure.reach, Reach::kThisRank);
}

TEST(Failure, WhatAllRanksRaiseAndWhatAPeerDidAreToldApart) {
  EXPECT_EQ(failure_of(CollectiveError(kExitRankFailed, "all")).reach, Reach::kAllRanks);
  EXPECT_EQ(failure_of(PeerError("rank 1 is gone")).reach, Reach::kPeer);
  EXPECT_EQ(failure_of(PeerError("rank 1 is gone")).code, kExitRankFailed);
}

TEST(Failure, OnceTrainingHasBegunNothingIsBadInput) {
  EXPECT_EQ(failure_of(InputError("bad")).code, kExitBadInput);
  EXPECT_EQ(failure_of(InputError("bad"), true).code, kExitRankFailed);
  EXPECT_EQ(failure_of(CollectiveError(kExitBadInput, "bad")).code, kExitBadInput);
  const Failure failure = failure_of(CollectiveError(kExitBadInput, "bad"), true);
  EXPECT_EQ(failure.code, kExitRankFailed);
  EXPECT_EQ(failure.reach, Reach::kAllRanks);
  EXPECT_EQ(failure_of(InternalError("a bug"), true).code, kExitInternal);
}

TEST(Failure, ErrorsOfLibtorchAreClassified) {
  const Failure memory = failure_of(torch_error("DefaultCPUAllocator: can't allocate memory"));
  EXPECT_EQ(memory.code, kExitRankFailed);
  EXPECT_TRUE(memory.out_of_memory);
  EXPECT_TRUE(failure_of(OutOfMemoryError("no more")).out_of_memory);
  EXPECT_FALSE(failure_of(torch_error("shapes do not match")).out_of_memory);
  EXPECT_NE(memory.text.find("training failed: "), std::string::npos) << memory.text;
  EXPECT_EQ(failure_of(torch_error("CUDA error: an illegal memory access was encountered")).code, kExitRankFailed);
  EXPECT_EQ(failure_of(torch_error("shapes do not match")).code, kExitInternal);
}

TEST(Failure, WhatNobodyClassifiedIsInternal) {
  EXPECT_EQ(failure_of(std::bad_alloc()).code, kExitRankFailed);
  EXPECT_TRUE(failure_of(std::bad_alloc()).out_of_memory);
  EXPECT_EQ(failure_of(std::runtime_error("?")).code, kExitInternal);
  EXPECT_EQ(failure_of(std::runtime_error("?")).text, "?");
}

}  // namespace
}  // namespace lockstep

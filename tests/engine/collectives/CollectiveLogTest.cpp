#include "engine/collectives/CollectiveLog.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/RankAlone.h"

namespace lockstep {
namespace {

TEST(CollectiveLog, KeepsWhatWasCalledUntilTheCallerNoLongerWaits) {
  RankAlone alone;
  float values[6] = {};
  const auto reduced = alone.all_reduce(values, 3, DataType::kFloat32, ReduceOp::kSum);
  auto scattered = alone.reduce_scatter(values, values + 3, 2, DataType::kFloat32, ReduceOp::kMax);
  alone.barrier();
  const auto log = alone.log();
  EXPECT_EQ(log->count(), 3);
  const auto records = log->records();
  ASSERT_EQ(records.size(), 3);
  EXPECT_EQ(records[0].sequence, 1);
  EXPECT_EQ(records[0].operation, Collective::kAllReduce);
  EXPECT_EQ(records[0].count, 3);
  EXPECT_EQ(records[0].type, DataType::kFloat32);
  EXPECT_FALSE(records[0].left);
  EXPECT_LE(records[0].entered, records[1].entered);
  EXPECT_FALSE(records[1].left);
  ASSERT_TRUE(records[2].left);
  EXPECT_LE(records[2].entered, *records[2].left);
  EXPECT_EQ(log->under_way()->sequence, 1);
  reduced->wait();
  const auto left = log->records()[0].left;
  ASSERT_TRUE(left);
  EXPECT_EQ(log->under_way()->sequence, 2);
  scattered.reset();
  EXPECT_FALSE(log->under_way());
  reduced->wait();
  EXPECT_EQ(log->records()[0].left, left);  // a second wait waits for nothing
}

/// Its collectives do not even begin.
class BrokenRank : public RankAlone {
 public:
  std::unique_ptr<Work> do_all_reduce(void*, std::size_t, DataType, ReduceOp) override { throw PeerError("gone"); }
  void do_barrier() override { throw PeerError("gone"); }
};

// Else the rank that has failed would seem to wait in it for ever.
TEST(CollectiveLog, WhatThrowsIsNotUnderWay) {
  BrokenRank broken;
  EXPECT_THROW(broken.all_reduce(nullptr, 0, DataType::kByte, ReduceOp::kSum), PeerError);
  EXPECT_FALSE(broken.log()->under_way());
  EXPECT_THROW(broken.barrier(), PeerError);
  EXPECT_FALSE(broken.log()->under_way());
  EXPECT_EQ(broken.log()->count(), 2);
}

TEST(CollectiveLog, KeepsTheLastOnly) {
  CollectiveLog log;
  EXPECT_TRUE(log.records().empty());
  EXPECT_FALSE(log.under_way());
  const std::uint64_t first = log.enter(Collective::kBroadcast, 1, DataType::kByte);
  for (std::size_t i = 0; i < CollectiveLog::kKept; ++i) log.enter(Collective::kAllGather, i, DataType::kInt64);
  log.leave(first);  // its place is another's
  EXPECT_EQ(log.count(), CollectiveLog::kKept + 1);
  const auto records = log.records();
  ASSERT_EQ(records.size(), CollectiveLog::kKept);
  EXPECT_EQ(records.front().sequence, 2);
  EXPECT_FALSE(records.front().left);
  EXPECT_EQ(records.back().count, CollectiveLog::kKept - 1);
}

TEST(CollectiveLog, OutlivesItsCommunicator) {
  std::shared_ptr<const CollectiveLog> log;
  std::unique_ptr<Work> work;
  {
    RankAlone alone;
    log = alone.log();
    work = alone.broadcast(nullptr, 0, DataType::kByte, 0);
  }
  EXPECT_TRUE(log->under_way());
  work.reset();
  EXPECT_FALSE(log->under_way());
}

TEST(Collective, HasTheNameOfItsCall) {
  EXPECT_EQ(name_of(Collective::kReduceScatter), std::string("reduce_scatter"));
  EXPECT_EQ(name_of(Collective::kBarrier), std::string("barrier"));
}

}  // namespace
}  // namespace lockstep

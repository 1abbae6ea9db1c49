#include "engine/collectives/MpiCommunicator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "common/Error.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

template <typename T>
constexpr DataType kType = DataType::kByte;
template <>
constexpr DataType kType<float> = DataType::kFloat32;
template <>
constexpr DataType kType<double> = DataType::kFloat64;
template <>
constexpr DataType kType<std::int64_t> = DataType::kInt64;

/// Every test runs in both modes, and with MPI calls so short that buffers travel in parts.
struct Setting {
  MpiMode mode;
  std::size_t max_count;

  std::string name() const {
    return std::string(mode == MpiMode::kInline ? "Inline" : "Background") + (max_count == 3 ? "InParts" : "");
  }
  friend std::ostream& operator<<(std::ostream& out, const Setting& setting) { return out << setting.name(); }
};

class MpiCommunicatorTest : public testing::TestWithParam<Setting> {
 protected:
  MpiCommunicator communicator_{mpi_session(), GetParam().mode, GetParam().max_count};
  int rank_ = communicator_.rank();
  int size_ = communicator_.size();

  // What rank r holds at i: small integers, exact in every type and in any order of additions.
  template <typename T>
  static std::vector<T> values(int rank, std::size_t count) {
    std::vector<T> result(count);
    for (std::size_t i = 0; i < count; ++i)
      result[i] = static_cast<T>((i * 7 + static_cast<std::size_t>(rank) * 5) % 23);
    return result;
  }

  template <typename T>
  std::vector<T> reduced(std::size_t count, ReduceOp op) const {
    std::vector<T> result = values<T>(0, count);
    for (int rank = 1; rank < size_; ++rank) {
      const std::vector<T> other = values<T>(rank, count);
      for (std::size_t i = 0; i < count; ++i) {
        result[i] = op == ReduceOp::kSum ? static_cast<T>(result[i] + other[i]) : std::max(result[i], other[i]);
      }
    }
    return result;
  }

  template <typename T>
  void check_all(std::size_t count) {
    SCOPED_TRACE(std::to_string(count) + " elements of type " + std::to_string(static_cast<int>(kType<T>)));
    const auto ranks = static_cast<std::size_t>(size_);
    const auto mine = static_cast<std::size_t>(rank_);
    for (const ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax}) {
      std::vector<T> buffer = values<T>(rank_, count);
      communicator_.all_reduce(buffer.data(), count, kType<T>, op)->wait();
      EXPECT_EQ(buffer, reduced<T>(count, op));

      const std::vector<T> input = values<T>(rank_, count * ranks);
      std::vector<T> output(count);
      communicator_.reduce_scatter(input.data(), output.data(), count, kType<T>, op)->wait();
      const std::vector<T> all = reduced<T>(count * ranks, op);
      EXPECT_TRUE(std::equal(output.begin(), output.end(), all.begin() + static_cast<std::ptrdiff_t>(mine * count)));

      std::vector<T> in_place = input;
      T* const own = in_place.data() + mine * count;
      communicator_.reduce_scatter(in_place.data(), own, count, kType<T>, op)->wait();
      EXPECT_TRUE(std::equal(output.begin(), output.end(), own));
    }
    const std::vector<T> input = values<T>(rank_, count);
    std::vector<T> gathered(count * ranks);
    communicator_.all_gather(input.data(), gathered.data(), count, kType<T>)->wait();
    std::vector<T> expected;
    for (int rank = 0; rank < size_; ++rank) {
      const std::vector<T> other = values<T>(rank, count);
      expected.insert(expected.end(), other.begin(), other.end());
    }
    EXPECT_EQ(gathered, expected);
    std::vector<T> in_place(count * ranks);
    T* const own = std::copy(input.begin(), input.end(), in_place.data() + mine * count) - count;
    communicator_.all_gather(own, in_place.data(), count, kType<T>)->wait();
    EXPECT_EQ(in_place, expected);
    for (int root = 0; root < size_; ++root) {
      std::vector<T> buffer = values<T>(rank_, count);
      communicator_.broadcast(buffer.data(), count, kType<T>, root)->wait();
      EXPECT_EQ(buffer, values<T>(root, count));
    }
  }
};

TEST_P(MpiCommunicatorTest, CollectivesOfAllTypesAndLengths) {
  for (const std::size_t count : {0, 1, 2, 3, 4, 5, 1000}) {
    check_all<float>(count);
    check_all<double>(count);
    check_all<std::int64_t>(count);
    check_all<std::uint8_t>(count);
  }
}

TEST_P(MpiCommunicatorTest, GathersTextsOfAnyLengthAndBytes) {
  const auto text = [](int rank) {
    return std::string(static_cast<std::size_t>(rank) * 3, '\0') + "é" + std::to_string(rank);
  };
  const std::vector<std::string> texts = communicator_.all_gather(rank_ == 0 ? "" : text(rank_));
  ASSERT_EQ(texts.size(), static_cast<std::size_t>(size_));
  EXPECT_EQ(texts[0], "");
  for (int rank = 1; rank < size_; ++rank) EXPECT_EQ(texts[static_cast<std::size_t>(rank)], text(rank));
  EXPECT_EQ(communicator_.all_gather(""), std::vector<std::string>(static_cast<std::size_t>(size_)));
}

// Each collective reads what the one before it wrote: another order gives another result.
TEST_P(MpiCommunicatorTest, CollectivesRunInTheOrderOfTheCalls) {
  constexpr int kRounds = 10;
  std::int64_t value = rank_ + 1;
  std::vector<std::int64_t> all(static_cast<std::size_t>(size_));
  std::vector<std::unique_ptr<Work>> works;
  for (int round = 0; round < kRounds; ++round) {
    works.push_back(communicator_.all_gather(&value, all.data(), 1, DataType::kInt64));
    works.push_back(communicator_.all_reduce(all.data(), all.size(), DataType::kInt64, ReduceOp::kMax));
    works.push_back(communicator_.reduce_scatter(all.data(), &value, 1, DataType::kInt64, ReduceOp::kSum));
  }
  communicator_.barrier();  // waits for all before it
  // The last reduce_scatter of a round leaves (the value of rank r) · size on rank r.
  std::int64_t expected = rank_ + 1;
  for (int round = 0; round < kRounds; ++round) expected *= size_;
  EXPECT_EQ(value, expected);
  for (const auto& work : works) EXPECT_NO_THROW(work->wait());
}

TEST_P(MpiCommunicatorTest, WorkMayBeDroppedOrWaitedForTwice) {
  std::int64_t value = 1;
  communicator_.all_reduce(&value, 1, DataType::kInt64, ReduceOp::kSum);  // its destruction waits
  EXPECT_EQ(value, size_);
  const auto work = communicator_.all_reduce(&value, 1, DataType::kInt64, ReduceOp::kSum);
  work->wait();
  work->wait();
  EXPECT_EQ(value, size_ * size_);
}

// A watchdog asks while the rank waits: the last rank comes when rank 0's log has shown that it is awaited.
TEST_P(MpiCommunicatorTest, TheLogShowsWhatIsUnderWay) {
  std::optional<TemporaryDirectory> directory;
  if (rank_ == 0) directory.emplace();
  const std::string path = communicator_.all_gather(directory ? (*directory / "seen").string() : "")[0];
  const auto log = communicator_.log();
  const std::uint64_t next = log->count() + 1;
  std::thread watchdog;
  if (rank_ == 0 && size_ > 1) {
    watchdog = std::thread([&] {
      while (!log->under_way() || log->under_way()->sequence != next) std::this_thread::yield();
      std::ofstream(path) << "seen";
    });
  }
  if (rank_ == size_ - 1 && size_ > 1) {
    EXPECT_EQ(log->count(), next - 1);
    while (!std::filesystem::exists(path)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::int64_t value = 1;
  communicator_.all_reduce(&value, 1, DataType::kInt64, ReduceOp::kSum)->wait();
  if (watchdog.joinable()) watchdog.join();
  EXPECT_FALSE(log->under_way());
  const CollectiveRecord last = log->records().back();
  EXPECT_EQ(last.sequence, next);
  EXPECT_EQ(last.operation, Collective::kAllReduce);
  const std::vector<std::string> counts = communicator_.all_gather(std::to_string(log->count()));
  EXPECT_EQ(counts, std::vector<std::string>(static_cast<std::size_t>(size_), counts[0]));
}

TEST_P(MpiCommunicatorTest, AFailedCollectiveSaysWhoWhatAndWhy) {
  // MPI checks the root before it sends anything, so every rank fails by itself.
  double value = 0;
  const auto work = communicator_.broadcast(&value, 1, DataType::kFloat64, size_);
  EXPECT_ERROR(work->wait(), PeerError, "rank " + std::to_string(rank_), "broadcast", "1 element", "MPI_ERR_ROOT");
  EXPECT_NO_THROW(communicator_.barrier());
}

INSTANTIATE_TEST_SUITE_P(Modes, MpiCommunicatorTest,
                         testing::Values(Setting{MpiMode::kInline, MpiCommunicator::kMaxCount},
                                         Setting{MpiMode::kBackground, MpiCommunicator::kMaxCount},
                                         Setting{MpiMode::kInline, 3}, Setting{MpiMode::kBackground, 3}),
                         [](const auto& info) { return info.param.name(); });

// The last rank starts its collective only after it has seen that the first's call returned: inline, both
// would wait for ever.
TEST(MpiCommunicatorBackground, CallsReturnBeforeTheOtherRanksJoin) {
  MpiCommunicator communicator(mpi_session(), MpiMode::kBackground);
  std::optional<TemporaryDirectory> directory;
  if (communicator.rank() == 0) directory.emplace();
  const std::string path = communicator.all_gather(directory ? (*directory / "returned").string() : "")[0];
  std::int64_t value = 1;
  const bool last = communicator.rank() == communicator.size() - 1;
  if (last && communicator.size() > 1) {
    while (!std::filesystem::exists(path)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const auto work = communicator.all_reduce(&value, 1, DataType::kInt64, ReduceOp::kSum);
  if (communicator.rank() == 0) std::ofstream(path) << "returned";
  work->wait();
  EXPECT_EQ(value, communicator.size());
}

// Floating-point sums depend on MPI's order of additions: both modes must leave it alone.
TEST(MpiCommunicatorBackground, ReducesToTheSameBitsAsInline) {
  std::vector<float> values(10007);
  std::vector<std::vector<float>> results;
  for (const MpiMode mode : {MpiMode::kInline, MpiMode::kBackground}) {
    MpiCommunicator communicator(mpi_session(), mode);
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = 1 / static_cast<float>(i + static_cast<std::size_t>(communicator.rank()) * 31 + 1);
    }
    communicator.all_reduce(values.data(), values.size(), DataType::kFloat32, ReduceOp::kSum)->wait();
    results.push_back(values);
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(MpiMode, BackgroundNeedsACoreToSpare) {
  EXPECT_EQ(choose_mpi_mode(2, 1, 1), MpiMode::kBackground);
  EXPECT_EQ(choose_mpi_mode(2, 2, 1), MpiMode::kInline);
  EXPECT_EQ(choose_mpi_mode(2, 1, 2), MpiMode::kInline);
  EXPECT_EQ(choose_mpi_mode(2, 4, 1), MpiMode::kInline);
  EXPECT_EQ(choose_mpi_mode(16, 4, 3), MpiMode::kBackground);
  EXPECT_EQ(choose_mpi_mode(16, 4, 4), MpiMode::kInline);
}

TEST(MpiSession, CountsTheRanksOfThisHost) {
  MpiCommunicator communicator(mpi_session(), MpiMode::kInline);
  EXPECT_EQ(mpi_session().place().ranks_on_host, communicator.size());
  EXPECT_EQ(mpi_session().place().rank_on_host, communicator.rank());
}

}  // namespace
}  // namespace lockstep

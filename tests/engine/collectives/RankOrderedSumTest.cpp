#include "engine/collectives/RankOrderedSum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "engine/collectives/MpiCommunicator.h"
#include "tests/support/MpiTest.h"

namespace lockstep {
namespace {

/// Sums of what ranks hold here come out otherwise in each order of additions.
template <typename Real>
class RankOrderedSumTest : public testing::Test {
 protected:
  static constexpr DataType kType = sizeof(Real) == 4 ? DataType::kFloat32 : DataType::kFloat64;

  RankOrderedSumTest() { communicator_.sum_in_rank_order(); }

  static std::vector<Real> values(int rank, std::size_t count) {
    std::mt19937 generator(static_cast<unsigned>(rank) + 1);
    std::normal_distribution<Real> normal;
    std::vector<Real> result(count);
    for (Real& value : result) value = normal(generator);
    return result;
  }
  std::vector<Real> expected(std::size_t count) const {
    std::vector<Real> sums = values(0, count);
    for (int rank = 1; rank < size_; ++rank) {
      const std::vector<Real> more = values(rank, count);
      for (std::size_t i = 0; i < count; ++i) sums[i] += more[i];
    }
    return sums;
  }
  // Nothing, less than there are ranks, and more than travels at once.
  std::vector<std::size_t> counts() const {
    const auto ranks = static_cast<std::size_t>(size_);
    return {0, 1, ranks, 513 * ranks, (std::size_t{9} << 20) / sizeof(Real) / ranks * ranks};
  }

  MpiCommunicator communicator_{mpi_session(), MpiMode::kInline};
  int rank_ = communicator_.rank();
  int size_ = communicator_.size();
};

using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(RankOrderedSumTest, Reals);

TYPED_TEST(RankOrderedSumTest, AddsInTheOrderOfRanks) {
  for (const std::size_t count : this->counts()) {
    std::vector<TypeParam> buffer = this->values(this->rank_, count);
    this->communicator_.all_reduce(buffer.data(), count, this->kType, ReduceOp::kSum)->wait();
    EXPECT_TRUE(buffer == this->expected(count)) << count;
  }
}

TYPED_TEST(RankOrderedSumTest, ScattersTheSameSums) {
  for (const std::size_t count : this->counts()) {
    const std::size_t each = count / static_cast<std::size_t>(this->size_);
    const std::vector<TypeParam> all = this->expected(each * static_cast<std::size_t>(this->size_));
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(each * static_cast<std::size_t>(this->rank_));
    const std::vector<TypeParam> own(begin, begin + static_cast<std::ptrdiff_t>(each));
    std::vector<TypeParam> buffer = this->values(this->rank_, all.size());
    std::vector<TypeParam> output(each);
    this->communicator_.reduce_scatter(buffer.data(), output.data(), each, this->kType, ReduceOp::kSum)->wait();
    EXPECT_TRUE(output == own) << count;
    TypeParam* const in_place = buffer.data() + each * static_cast<std::size_t>(this->rank_);
    this->communicator_.reduce_scatter(buffer.data(), in_place, each, this->kType, ReduceOp::kSum)->wait();
    EXPECT_TRUE(std::equal(own.begin(), own.end(), in_place)) << count;
  }
}

// However a buffer is cut.
TYPED_TEST(RankOrderedSumTest, GivesTheSameBitsForEachCut) {
  const std::size_t count = this->counts().back();
  const std::vector<TypeParam> whole = this->expected(count);
  for (const std::size_t piece : {count / 2, count / 3 + 1, std::size_t{1} << 14}) {
    std::vector<TypeParam> buffer = this->values(this->rank_, count);
    for (std::size_t first = 0; first < count; first += piece) {
      this->communicator_
          .all_reduce(buffer.data() + first, std::min(piece, count - first), this->kType, ReduceOp::kSum)
          ->wait();
    }
    EXPECT_TRUE(buffer == whole) << piece;
  }
}

// The largest has no order, and integers have none.
TYPED_TEST(RankOrderedSumTest, LeavesOtherReductionsToMpi) {
  TypeParam largest = static_cast<TypeParam>(this->rank_);
  this->communicator_.all_reduce(&largest, 1, this->kType, ReduceOp::kMax)->wait();
  EXPECT_EQ(largest, this->size_ - 1);
  std::int64_t count = 1;
  this->communicator_.all_reduce(&count, 1, DataType::kInt64, ReduceOp::kSum)->wait();
  EXPECT_EQ(count, this->size_);
}

}  // namespace
}  // namespace lockstep

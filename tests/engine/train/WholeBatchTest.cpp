#include "engine/train/WholeBatch.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "common/Error.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/objective/losses/InfoNce.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"

namespace lockstep {
namespace {

constexpr std::int64_t kSamples = 8;

/// What a rank has of the samples: all; none and all; none, 5 and 3.
std::pair<std::int64_t, std::int64_t> share(const Communicator& communicator) {
  if (communicator.size() == 1 || communicator.size() == 2) {
    return communicator.rank() == communicator.size() - 1 ? std::pair{std::int64_t{0}, kSamples}
                                                          : std::pair{std::int64_t{0}, std::int64_t{0}};
  }
  constexpr std::int64_t kFirst[] = {0, 0, 5, kSamples};
  const int rank = communicator.rank();
  return {kFirst[rank], kFirst[rank + 1] - kFirst[rank]};
}

at::Tensor pairs() { return at::arange(kSamples * 2 * 3, at::kDouble).sin().view({kSamples, 2, 3}); }

class WholeBatchTest : public testing::Test {
 protected:
  MpiCommunicator communicator_{mpi_session(), MpiMode::kInline};
  WholeBatch whole_{communicator_, communicator_, at::kCPU};
};

// Each rank has the value of the whole, and of its gradient what is its own.
TEST_F(WholeBatchTest, GradientsAreThoseOfTheWhole) {
  const auto [first, count] = share(communicator_);
  const auto loss = make_symmetric_info_nce(1);
  const at::Tensor all = pairs().set_requires_grad(true);
  const at::Tensor expected = loss->terms(all, {}, {}).sum;
  expected.backward();

  at::Tensor own;
  if (count > 0) own = pairs().narrow(0, first, count).clone().set_requires_grad(true);
  const WholeBatch::Joined joined = whole_.join(own);
  EXPECT_EQ(joined.samples, kSamples);
  EXPECT_EQ(joined.first, first == 0 && count > 0);
  ASSERT_EQ(joined.rows.defined(), count > 0);
  if (count == 0) return;
  EXPECT_TRUE(at::equal(joined.rows, pairs()));
  const at::Tensor found = loss->terms(joined.rows, {}, {}).sum;
  found.backward();
  EXPECT_EQ(found.item<double>(), expected.item<double>());
  EXPECT_TRUE(at::equal(own.grad(), all.grad().narrow(0, first, count)));
}

TEST_F(WholeBatchTest, ReducedNumbersAreJoinedInFloat32) {
  const at::Tensor own = pairs().to(at::kBFloat16);
  const WholeBatch::Joined joined = whole_.join(own);
  EXPECT_EQ(joined.samples, kSamples * communicator_.size());
  EXPECT_EQ(joined.rows.scalar_type(), at::kFloat);
  for (std::int64_t i = 0; i < communicator_.size(); ++i) {
    EXPECT_TRUE(at::equal(joined.rows.narrow(0, i * kSamples, kSamples), own.to(at::kFloat)));
  }
}

TEST_F(WholeBatchTest, OtherSizesOnARankAreAnErrorOnAll) {
  if (communicator_.size() == 1) return;
  const bool odd = communicator_.rank() == 1;
  EXPECT_ERROR(whole_.join(at::zeros({2, odd ? 3 : 4})), InputError, "of the same sizes on all ranks",
               "4 and 3 numbers");
}

}  // namespace
}  // namespace lockstep

#include "engine/train/Prefetcher.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/Error.h"
#include "tests/support/ExpectError.h"
#include "tests/support/LateDevice.h"
#include "tests/support/RankAlone.h"

namespace lockstep {
namespace {

constexpr std::int64_t kBatch = 4;
constexpr std::int64_t kSamples = 6 * kBatch + 1;  // the last batch of an epoch is a short one
constexpr std::int64_t kNumbers = 8;

/// Sample i is eight times i.
class Counting : public Dataset {
 public:
  std::int64_t size() const override { return kSamples; }
  const SampleShape& shape() const override { return shape_; }
  std::string digest() const override { return "counting"; }
  void require_classes(std::int64_t, const std::string&) const override {}
  void read(std::span<const std::int64_t> samples, Precision, void* inputs, void* targets) const override {
    auto* numbers = static_cast<float*>(inputs);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      numbers = std::fill_n(numbers, kNumbers, static_cast<float>(samples[i]));
      static_cast<float*>(targets)[i] = static_cast<float>(samples[i]);
    }
  }

 private:
  SampleShape shape_{.input = {kNumbers}, .target = {1}};
};

class PrefetcherTest : public testing::TestWithParam<LateDevice::Eager> {
 protected:
  PrefetcherTest()
      : loader_(data_, Order(0, kSamples, false), BatchPlan(kSamples, kBatch, 0, 1), 0, Precision::kFp32, 1, {}, 2,
                Prefetcher::buffers_for(device_)) {}
  Prefetcher make() { return Prefetcher(loader_, data_.shape(), Precision::kFp32, device_, communicator_); }

  // Enqueues a kernel that notes what is in the batch when it runs.
  void read(const DeviceBatch& batch) {
    const float* memory = LateDevice::memory(batch.inputs);
    const float* targets = LateDevice::memory(batch.targets);
    LateDevice::enqueue([this, memory, targets, size = batch.size] {
      for (std::int64_t i = 0; i < size; ++i) {
        for (std::int64_t j = 0; j < kNumbers; ++j) seen_.push_back(memory[i * kNumbers + j]);
        seen_targets_.push_back(targets[i]);
      }
    });
  }
  static std::vector<float> samples(std::int64_t count, std::int64_t times) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) values.insert(values.end(), times, static_cast<float>(i % kSamples));
    return values;
  }

  Counting data_;
  LateDevice device_{GetParam()};
  RankAlone communicator_;
  Loader loader_;
  std::vector<float> seen_;
  std::vector<float> seen_targets_;
};

// A place for batches is made of memory that the allocator has back, while kernels of the compute stream still work on
// it: as in each evaluation, whose first batch comes right behind a step.
TEST_P(PrefetcherTest, ACopyWaitsForKernelsOverWhatItsMemoryWasBefore) {
  constexpr std::int64_t kCount = kBatch * kNumbers;
  at::Tensor activations = at::empty({kCount}, at::TensorOptions(at::kFloat).device(device_.place()));
  float* memory = LateDevice::memory(activations);
  LateDevice::enqueue([memory] { std::fill_n(memory, kCount, -1.0F); });
  activations.reset();
  Prefetcher prefetcher = make();
  const DeviceBatch batch = prefetcher.next();
  ASSERT_EQ(LateDevice::memory(batch.inputs), memory);
  read(batch);
  LateDevice::settle();
  EXPECT_EQ(seen_, samples(kBatch, kNumbers));
}

// Its memory is known to both streams: the allocator does not hand it on while the copy stream works on it.
TEST_P(PrefetcherTest, ItsMemoryIsNotHandedOnWhileItIsCopiedInto) {
  float* place = nullptr;
  {
    Prefetcher prefetcher = make();
    const DeviceBatch batch = prefetcher.next();
    place = LateDevice::memory(batch.inputs);
    const c10::impl::VirtualGuardImpl guard(device_.place().type());
    const c10::Stream compute = guard.exchangeStream(*device_.copy_stream());
    LateDevice::get_stuck();  // as a copy that takes its time
    guard.exchangeStream(compute);
  }
  std::vector<at::Tensor> others;  // more than it has let go of
  for (int i = 0; i < 8; ++i) {
    others.push_back(at::empty({kBatch * kNumbers}, at::TensorOptions(at::kFloat).device(device_.place())));
    EXPECT_NE(LateDevice::memory(others.back()), place);
  }
}

TEST_P(PrefetcherTest, EachBatchIsThereWhenItIsReadAndUntilThen) {
  constexpr int kEpochs = 3;
  Prefetcher prefetcher = make();
  for (int i = 0; i < kEpochs * 7; ++i) {
    read(prefetcher.next());
    if (i % 3 != 2) prefetcher.prefetch();
  }
  LateDevice::settle();
  EXPECT_EQ(seen_, samples(kEpochs * kSamples, kNumbers));
  EXPECT_EQ(seen_targets_, samples(kEpochs * kSamples, 1));
}

// Copies come behind computing, which may come behind a collective that a silent rank does not join.
TEST_P(PrefetcherTest, WaitsForACopyEndWithTheCommunicatorsPatience) {
  Prefetcher prefetcher = make();
  read(prefetcher.next());
  LateDevice::get_stuck();
  communicator_.fail_after(20);
  const auto go_on = [&] {
    for (int i = 0; i < 5; ++i) prefetcher.next();
  };
  EXPECT_ERROR(go_on(), PeerError, "gone");
  EXPECT_EQ(LateDevice::host_waits(), 0);
}

INSTANTIATE_TEST_SUITE_P(Order, PrefetcherTest, testing::Values(LateDevice::Eager::kCopy, LateDevice::Eager::kCompute));

}  // namespace
}  // namespace lockstep

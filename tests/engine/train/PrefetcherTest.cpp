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
#include "tests/support/PlainSamples.h"
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
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return "counting"; }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    auto* numbers = reinterpret_cast<float*>(fields[0]);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      numbers = std::fill_n(numbers, kNumbers, static_cast<float>(samples[i]));
      reinterpret_cast<float*>(fields[1])[i] = static_cast<float>(samples[i]);
    }
  }

 private:
  SampleSpec spec_{{{.name = "x", .sizes = {kNumbers}}, {.name = "y", .sizes = {1}}}};
};

class PrefetcherTest : public testing::TestWithParam<LateDevice::Eager> {
 protected:
  PrefetcherTest()
      : loader_(data_, Order(0, kSamples, false), BatchPlan(kSamples, kBatch, 0, 1), 0, 1, {}, 2,
                Prefetcher::buffers_for(device_)) {}
  Prefetcher make() { return Prefetcher(loader_, data_, device_, communicator_); }

  // Enqueues a kernel that notes what is in the batch when it runs.
  void read(const Batch& batch) {
    const float* memory = LateDevice::memory(batch.inputs[0]);
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

  ProgramSamples data_ = plain_samples(std::make_shared<Counting>());
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
  const Batch batch = prefetcher.next();
  ASSERT_EQ(LateDevice::memory(batch.inputs[0]), memory);
  read(batch);
  LateDevice::settle();
  EXPECT_EQ(seen_, samples(kBatch, kNumbers));
}

// Its memory is known to both streams: the allocator does not hand it on while the copy stream works on it.
TEST_P(PrefetcherTest, ItsMemoryIsNotHandedOnWhileItIsCopiedInto) {
  float* place = nullptr;
  {
    Prefetcher prefetcher = make();
    const Batch batch = prefetcher.next();
    place = LateDevice::memory(batch.inputs[0]);
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

/// Sample i is fifteen bytes from 16·i on.
class Pictures : public Dataset {
 public:
  std::int64_t size() const override { return kSamples; }
  const SampleSpec& spec() const override { return spec_; }
  std::string digest() const override { return "pictures"; }
  void read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const override {
    for (std::size_t i = 0; i < samples.size(); ++i) {
      for (std::size_t pixel = 0; fields[0] != nullptr && pixel < 15; ++pixel) {
        fields[0][15 * i + pixel] = static_cast<std::byte>(16 * samples[i] + static_cast<std::int64_t>(pixel));
      }
      if (fields[1] != nullptr) reinterpret_cast<float*>(fields[1])[i] = static_cast<float>(samples[i]);
    }
  }

 private:
  SampleSpec spec_{{{.name = "x", .type = ElementType::kUint8, .sizes = {3, 5}}, {.name = "y"}}};
};

// They cross to the device as bytes, and are computed on as what the host would have made of them.
TEST_P(PrefetcherTest, PixelsBecomeRealNumbersOnTheDevice) {
  for (const Normalization& normalization :
       {Normalization{.mean = {0.286}, .std = {0.353}},
        Normalization{.mean = {0.1, 0.25, 0.4}, .std = {0.5, 0.4, 0.3}, .part = 5}}) {
    const ProgramSamples plain(std::make_shared<Pictures>(), {{.name = "x"}}, {.normalization = normalization});
    const ProgramSamples samples = Prefetcher::samples_for(device_, plain);
    ASSERT_EQ(samples.input(0).bytes(), 15);
    Loader loader(samples, Order(0, kSamples, false), BatchPlan(kSamples, kBatch, 0, 1), 0, 1, {}, 2,
                  Prefetcher::buffers_for(device_));
    Prefetcher prefetcher(loader, samples, device_, communicator_);
    for (std::int64_t first = 0; first < kSamples; first += kBatch) {
      const Batch batch = prefetcher.next();
      prefetcher.prefetch();
      ASSERT_EQ(batch.inputs[0].sizes(), (at::IntArrayRef{batch.size, 3, 5}));
      const at::Tensor found = batch.inputs[0].cpu();
      for (std::int64_t i = 0; i < batch.size; ++i) {
        std::vector<double> expected = plain.numbers(plain.input(0), first + i);
        const at::Tensor row = found[i].flatten();
        for (std::size_t pixel = 0; pixel < 15; ++pixel) {
          EXPECT_NEAR(row.const_data_ptr<float>()[pixel], expected[pixel], 1e-6);
        }
      }
    }
  }
}

// A mean for each of more numbers than the kernel has channels: the host makes them real.
TEST_P(PrefetcherTest, PixelsOfManyMeansBecomeRealNumbersOnTheHost) {
  const Normalization each{.mean = std::vector<double>(15, 0.5), .std = std::vector<double>(15, 0.25)};
  const ProgramSamples plain(std::make_shared<Pictures>(), {{.name = "x"}}, {.normalization = each});
  EXPECT_EQ(Prefetcher::samples_for(device_, plain).input(0).bytes(), 15 * sizeof(float));
}

INSTANTIATE_TEST_SUITE_P(Order, PrefetcherTest, testing::Values(LateDevice::Eager::kCopy, LateDevice::Eager::kCompute));

}  // namespace
}  // namespace lockstep

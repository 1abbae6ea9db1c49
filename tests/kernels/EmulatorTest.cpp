// Each fault that Emulator.h promises to report, planted in a small kernel, beside the same kernel without it.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "tests/kernels/Forms.h"
#include "tests/kernels/emulator/GuardedMemory.h"

namespace lockstep::emulator {
namespace {

constexpr unsigned kFullWarp = 0xffffffffU;
constexpr Schedule kSchedules[] = {
    {Schedule::Order::kForward}, {Schedule::Order::kReverse}, {Schedule::Order::kShuffled, 3}};

std::string here(int lines_after, std::source_location where = std::source_location::current()) {
  return "EmulatorTest.cpp:" + std::to_string(static_cast<int>(where.line()) + lines_after);
}

/// Runs `kernel` in every schedule: each must report a Fault that holds all of `parts`.
template <typename Kernel>
void expect_fault(dim3 blocks, dim3 threads, const std::vector<std::string>& parts, const Kernel& kernel) {
  for (const Schedule& schedule : kSchedules) {
    set_schedule(schedule);
    try {
      launch(blocks, threads, kernel);
      ADD_FAILURE() << "no fault";
    } catch (const Fault& fault) {
      const std::string message = fault.what();
      for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << message << "\n" << part;
    }
  }
}

/// Runs `kernel` in every schedule: none may report anything.
template <typename Kernel>
void expect_no_fault(dim3 blocks, dim3 threads, const Kernel& kernel) {
  for (const Schedule& schedule : kSchedules) {
    set_schedule(schedule);
    EXPECT_NO_THROW(launch(blocks, threads, kernel));
  }
}

/// As kernels::Buffer at both ends of the guarded pages.
struct Floats {
  explicit Floats(std::size_t length, GuardedMemory::Side side = GuardedMemory::Side::kEnd)
      : memory(length * sizeof(float), side), data(static_cast<float*>(memory.data())) {
    for (std::size_t i = 0; i < length; ++i) data[i] = static_cast<float>(i);
  }
  GuardedMemory memory;
  float* data;
};

struct alignas(16) Four {
  float values[4];
};

// --- barriers ---

TEST(EmulatedBarrier, DroppedIsARace) {
  const auto reverse = [](bool barrier) {
    LOCKSTEP_SHARED(int, shared, 64);
    shared[threadIdx.x] = static_cast<int>(threadIdx.x);
    if (barrier) __syncthreads();
    const int other = shared[63 - threadIdx.x];
    EXPECT_EQ(other, 63 - static_cast<int>(threadIdx.x));
  };
  expect_fault(1, 64, {"block (0,0,0) thread (", here(-3), "shared memory shared["}, [&] { reverse(false); });
  expect_no_fault(1, 64, [&] { reverse(true); });
}

TEST(EmulatedBarrier, ReachedBySomeThreads) {
  const std::string place = here(2);
  expect_fault({2, 2}, 96, {"block (", "thread (40,0,0) has returned", "thread (0,0,0) waits in __syncthreads", place},
               [] {
                 if (threadIdx.x < 40) __syncthreads();
               });
  expect_no_fault({2, 2}, 96, [] {
    if (blockIdx.x == 0) __syncthreads();
  });
}

TEST(EmulatedBarrier, SomeThreadsComeOnceMore) {
  expect_fault(1, 64, {"has returned", "waits in __syncthreads", here(1)}, [] {
    for (unsigned i = 0; i < 2 + threadIdx.x / 63; ++i) __syncthreads();
  });
  expect_no_fault(1, 64, [] {
    for (unsigned i = 0; i < 2; ++i) __syncthreads();
  });
}

TEST(EmulatedBarrier, AtTwoPlaces) {
  const std::string first = here(4);
  const std::string second = here(5);
  expect_fault(
      1, 64,
      {"thread (0,0,0) waits in __syncthreads at " + first, "thread (32,0,0) waits in __syncthreads at " + second}, [] {
        if (threadIdx.x < 32) {
          __syncthreads();
        } else {
          __syncthreads();
        }
      });
  expect_fault(1, 64, {"cannot go on"}, [] { threadIdx.x < 32 ? __syncthreads() : __syncthreads(); });
}

TEST(EmulatedBarrier, JoinsPredicates) {
  expect_no_fault(2, dim3(8, 4, 3), [] {
    const bool first = threadIdx.x == 0;
    EXPECT_EQ(__syncthreads_count(first), 12);
    EXPECT_EQ(__syncthreads_or(first), 1);
    EXPECT_EQ(__syncthreads_or(0), 0);
    EXPECT_EQ(__syncthreads_and(first), 0);
    EXPECT_EQ(__syncthreads_and(7), 1);
  });
  expect_fault(1, 64, {"waits in __syncthreads_or", "waits in __syncthreads_and"},
               [] { threadIdx.x < 32 ? __syncthreads_or(1) : __syncthreads_and(1); });
}

// --- global memory ---

TEST(EmulatedMemory, ReadPastTheEnd) {
  Floats in(100);
  const auto kernel = [&](unsigned length) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < length) EXPECT_EQ(in.data[i], static_cast<float>(i));
  };
  expect_fault(4, 32, {"block (3,0,0) thread (4,0,0)", "0 bytes past the end of 400", here(-2)}, [&] { kernel(101); });
  expect_no_fault(4, 32, [&] { kernel(100); });
}

TEST(EmulatedMemory, WrittenPastTheEnd) {
  Floats out(100);
  const auto kernel = [&](unsigned length) {
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < length) out.data[i] = 1;
  };
  expect_fault(4, 32, {"block (3,0,0) thread (4,0,0)", "0 bytes past the end of 400", here(-2)}, [&] { kernel(101); });
  expect_no_fault(4, 32, [&] { kernel(100); });
}

TEST(EmulatedMemory, BeforeTheStart) {
  Floats out(64, GuardedMemory::Side::kStart);
  const auto kernel = [&](int shift) {
    const int i = static_cast<int>(threadIdx.x) - shift;
    out.data[i] += 1;
  };
  expect_fault(1, 32, {"thread (0,0,0)", "4 bytes before the start of 256", here(-2)}, [&] { kernel(1); });
  expect_no_fault(1, 32, [&] { kernel(0); });
}

// Between memory and its guard page on the other side lies the rest of a page.
TEST(EmulatedMemory, WrittenBesideIt) {
  for (const auto side : {GuardedMemory::Side::kStart, GuardedMemory::Side::kEnd}) {
    Floats out(64, side);
    const int outside = side == GuardedMemory::Side::kStart ? 64 : -1;
    expect_no_fault(1, 64, [&] { out.data[threadIdx.x] = 0; });
    EXPECT_TRUE(out.memory.surroundings_intact());
    launch(1, 1, [&] { out.data[outside] = 0; });
    EXPECT_FALSE(out.memory.surroundings_intact());
  }
}

TEST(EmulatedMemory, UnwrittenTail) {
  const kernels::Form& form = *kernels::forms().back();
  for (const unsigned length : {99U, 100U}) {
    const kernels::Buffer<float> out(form, 100, {});
    form.run([&] {
      launch(4, 32, [&] {
        const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < length) out.data()[i] = 1;
      });
    });
    const double error = kernels::relative_error(out.values(), std::vector<double>(100, 1));
    length == 100 ? EXPECT_EQ(error, 0) : EXPECT_TRUE(std::isnan(error));
  }
}

TEST(EmulatedMemory, Misaligned) {
  Floats in(68, GuardedMemory::Side::kStart);
  Floats out(64, GuardedMemory::Side::kStart);
  const auto kernel = [&](unsigned shift) {
    const auto* from = reinterpret_cast<const Four*>(in.data + shift);
    reinterpret_cast<Four*>(out.data)[threadIdx.x] = from[threadIdx.x];
  };
  expect_fault(1, 16, {"block (0,0,0) thread (", "misaligned", here(-2)}, [&] { kernel(1); });
  expect_no_fault(1, 16, [&] { kernel(4); });
}

TEST(EmulatedMemory, RaceThatDecidesTheResult) {
  const kernels::Form& form = *kernels::forms().back();
  const kernels::Buffer<int> out(form, 2, {});
  const auto run = [&](unsigned blocks) {
    form.run([&] { launch(blocks, 1, [&] { out.data()[0] = static_cast<int>(blockIdx.x); }); });
  };
  run(1);
  testing::TestPartResultArray failures;
  {
    const testing::ScopedFakeTestPartResultReporter reporter(&failures);
    run(2);
  }
  ASSERT_EQ(failures.size(), 1);
  EXPECT_NE(std::string(failures.GetTestPartResult(0).message()).find("decides the result"), std::string::npos);
}

// --- warps ---

TEST(EmulatedWarp, MaskWithoutTheCaller) {
  const auto kernel = [](unsigned mask) { __shfl_xor_sync(mask, 1.0F, 1); };
  expect_fault(1, 32, {"thread (31,0,0)", "mask that lacks the caller", here(-1)}, [&] { kernel(0x7fffffffU); });
  expect_no_fault(1, 32, [&] { kernel(kFullWarp); });
}

TEST(EmulatedWarp, MaskNamesLanesThatHaveReturned) {
  const auto kernel = [](unsigned mask) {
    if (threadIdx.x >= 24) return;
    __shfl_down_sync(mask, 1.0F, 1);
  };
  expect_fault(
      1, 32,
      {"thread (0,0,0) waits in __shfl_down_sync with mask 0xffffffff", "thread (24,0,0) has returned", here(-2)},
      [&] { kernel(kFullWarp); });
  expect_fault(1, 24, {"waits in __shfl_down_sync with mask 0xffffffff"},
               [&] { kernel(kFullWarp); });  // not a whole warp
  expect_no_fault(1, 32, [&] { kernel(0x00ffffffU); });
}

TEST(EmulatedWarp, MasksThatDiffer) {
  const auto kernel = [](unsigned odd) { __ballot_sync(threadIdx.x % 2 == 0 ? kFullWarp : odd, 1); };
  expect_fault(1, 32, {"with mask 0xffffffff", "with mask 0xaaaaaaaa", here(-1)}, [&] { kernel(0xaaaaaaaaU); });
  expect_no_fault(1, 32, [&] { kernel(kFullWarp); });
}

TEST(EmulatedWarp, LaneOutsideTheMask) {
  const auto kernel = [](int lanes) {
    if (threadIdx.x < 16) __shfl_xor_sync(0xffffU, 1.0, lanes);
  };
  expect_fault(1, 32, {"block (0,0,0) thread (", "__shfl_xor_sync from lane", "outside its mask", here(-2)},
               [&] { kernel(16); });
  expect_no_fault(1, 32, [&] { kernel(8); });
}

TEST(EmulatedWarp, DifferentOperations) {
  expect_fault(1, 32, {"waits in __shfl_sync", "waits in __ballot_sync", here(0)},
               [] { threadIdx.x < 16 ? __shfl_sync(kFullWarp, 1U, 0) : __ballot_sync(kFullWarp, 1); });
  expect_no_fault(1, 32, [] { threadIdx.x < 16 ? __shfl_sync(0xffffU, 1U, 0) : __ballot_sync(0xffff0000U, 1); });
}

TEST(EmulatedWarp, Width) {
  expect_fault(1, 32, {"__shfl_sync of width 12", here(0)}, [] { __shfl_sync(kFullWarp, 1, 0, 12); });
  expect_fault(1, 32, {"__shfl_sync of width 64"}, [] { __shfl_sync(kFullWarp, 1, 0, 64); });
}

// The tables of the CUDA C++ Programming Guide's section on warp shuffle functions.
TEST(EmulatedWarp, Shuffles) {
  expect_no_fault(1, dim3(8, 8), [] {
    const auto lane = static_cast<int>((threadIdx.y * 8 + threadIdx.x) % 32);
    const int first = lane / 8 * 8;
    EXPECT_EQ(__shfl_sync(kFullWarp, lane, 5), 5);
    EXPECT_EQ(__shfl_sync(kFullWarp, lane, 13, 8), first + 5);
    EXPECT_EQ(__shfl_up_sync(kFullWarp, lane, 3), lane < 3 ? lane : lane - 3);
    EXPECT_EQ(__shfl_up_sync(kFullWarp, lane, 3, 8), lane - first < 3 ? lane : lane - 3);
    EXPECT_EQ(__shfl_down_sync(kFullWarp, lane, 3), lane > 28 ? lane : lane + 3);
    EXPECT_EQ(__shfl_down_sync(kFullWarp, lane, 3, 8), lane - first > 4 ? lane : lane + 3);
    EXPECT_EQ(__shfl_xor_sync(kFullWarp, lane, 17), lane ^ 17);
    EXPECT_EQ(__shfl_xor_sync(kFullWarp, lane, 8, 8), lane / 8 % 2 == 0 ? lane : lane - 8);
    EXPECT_EQ(__shfl_xor_sync(kFullWarp, lane + 0.5, 1), (lane ^ 1) + 0.5);
    EXPECT_EQ(__shfl_xor_sync(kFullWarp, static_cast<unsigned short>(lane), 1), lane ^ 1);
    EXPECT_EQ(__shfl_sync(kFullWarp, std::int64_t{lane} << 40, 2), std::int64_t{2} << 40);
    EXPECT_EQ(__ballot_sync(kFullWarp, lane % 4 == 0), 0x11111111U);
    EXPECT_EQ(__any_sync(kFullWarp, lane == 3), 1);
    EXPECT_EQ(__any_sync(kFullWarp, 0), 0);
    EXPECT_EQ(__all_sync(kFullWarp, lane != 3), 0);
    EXPECT_EQ(__all_sync(kFullWarp, 1), 1);
    EXPECT_EQ(__reduce_add_sync(kFullWarp, lane), 496);
    EXPECT_EQ(__reduce_max_sync(kFullWarp, -lane), 0);
    EXPECT_EQ(__reduce_min_sync(kFullWarp, -lane), -31);
    EXPECT_EQ(__reduce_or_sync(kFullWarp, 1U << lane), kFullWarp);
    if (lane % 2 == 1) {
      EXPECT_EQ(__reduce_add_sync(0xaaaaaaaaU, static_cast<unsigned>(lane)), 256U);
    }
  });
}

// --- shared memory ---

TEST(EmulatedShared, WritesOfTwoThreads) {
  const auto kernel = [](unsigned divisor) {
    LOCKSTEP_SHARED(float, shared, 64);
    shared[threadIdx.x / divisor] = 1;
  };
  expect_fault(1, 64, {"block (0,0,0) thread (", here(-2), "race on shared memory shared[", "written by thread"},
               [&] { kernel(2); });
  expect_fault(1, 64, {"race on shared memory shared["}, [&] { kernel(64); });
  expect_no_fault(1, 64, [&] { kernel(1); });
}

TEST(EmulatedShared, ReadAndWriteOfTwoWarps) {
  const auto kernel = [](bool read_is_over) {
    LOCKSTEP_SHARED(int, shared, 64);
    shared[threadIdx.x] = 1;
    __syncthreads();
    const int other = shared[threadIdx.x ^ 32U];
    if (read_is_over) __syncthreads();
    shared[threadIdx.x] = other + 1;
  };
  expect_fault(1, 64, {"block (0,0,0) thread (", "race on shared memory shared[", "EmulatorTest.cpp:"},
               [&] { kernel(false); });
  expect_no_fault(1, 64, [&] { kernel(true); });
}

// No lockstep within a warp is assumed.
TEST(EmulatedShared, WarpNeedsItsBarrier) {
  const auto kernel = [](bool barrier) {
    LOCKSTEP_SHARED(int, shared, 32);
    shared[threadIdx.x] = static_cast<int>(threadIdx.x);
    if (barrier) __syncwarp();
    const int other = shared[31 - threadIdx.x];
    if (barrier) __syncwarp();
    shared[threadIdx.x] = other;
  };
  expect_fault(1, 32, {"block (0,0,0) thread (", "EmulatorTest.cpp:", "shared memory shared["}, [&] { kernel(false); });
  expect_no_fault(1, 32, [&] { kernel(true); });
}

TEST(EmulatedShared, WarpBarrierOrdersItsLanesOnly) {
  const auto kernel = [](unsigned mask, unsigned reader) {
    LOCKSTEP_SHARED(int, shared, 64);
    LOCKSTEP_SHARED(int, used, 1);
    if (threadIdx.x == 0) shared[0] = 1;
    if (threadIdx.x == 63) used[0] = 1;
    if ((mask >> threadIdx.x % 32 & 1U) != 0) {
      __syncwarp(mask);
      __syncwarp(mask);
    }
    if (threadIdx.x == reader) EXPECT_EQ(shared[0], 1);
  };
  expect_no_fault(1, 64, [&] { kernel(0xffffU, 15); });
  for (const unsigned reader : {16U, 32U, 48U}) {
    expect_fault(1, 64, {"shared memory shared[0]"}, [&] { kernel(0xffffU, reader); });
  }
}

// One barrier with half of the warp, then another with the other half, orders all by way of the lane in both.
TEST(EmulatedShared, WarpBarriersAddUp) {
  const auto kernel = [](unsigned second) {
    LOCKSTEP_SHARED(int, shared, 1);
    if (threadIdx.x == 0) shared[0] = 1;
    if (threadIdx.x <= 16) __syncwarp(0x1ffffU);
    if ((second >> threadIdx.x & 1U) != 0) __syncwarp(second);
    if (threadIdx.x == 31) EXPECT_EQ(shared[0], 1);
  };
  expect_no_fault(1, 32, [&] { kernel(0xffff0000U); });
  expect_fault(1, 32, {"thread (31,0,0)", "shared memory shared[0]"}, [&] { kernel(0xfffe0000U); });
}

// CUDA: the shuffles and votes "do not imply a memory barrier".
TEST(EmulatedShared, ShufflesOrderNothing) {
  expect_fault(1, 32, {"shared memory shared["}, [] {
    LOCKSTEP_SHARED(int, shared, 32);
    shared[threadIdx.x] = 1;
    __shfl_sync(kFullWarp, 1, 0);
    EXPECT_EQ(shared[31 - threadIdx.x], 1);
  });
}

TEST(EmulatedShared, Unwritten) {
  const auto kernel = [](bool written) {
    LOCKSTEP_SHARED(double, shared, 32);
    if (written || threadIdx.x != 7) shared[threadIdx.x] = 1;
    __syncthreads();
    if (threadIdx.x == 0) EXPECT_EQ(shared[7], 1);
  };
  expect_fault(1, 32, {"block (0,0,0) thread (0,0,0)", "read of unwritten shared memory shared[7]", here(-2)},
               [&] { kernel(false); });
  expect_no_fault(1, 32, [&] { kernel(true); });
}

TEST(EmulatedShared, NextBlockFindsNothing) {
  const auto kernel = [](bool every_block) {
    LOCKSTEP_SHARED(int, shared, 1);
    LOCKSTEP_SHARED(int, turns, 1);
    if (every_block || blockIdx.x == 1) shared[0] = 1;
    turns[0] = shared[0];
  };
  expect_fault(3, 1, {"read of unwritten shared memory shared[0]"}, [&] { kernel(false); });
  expect_no_fault(3, 1, [&] { kernel(true); });
}

TEST(EmulatedShared, OutOfBounds) {
  const auto kernel = [](int shift) {
    LOCKSTEP_SHARED(float, shared, 32);
    shared[static_cast<int>(threadIdx.x) + shift] = 1;
  };
  expect_fault(1, 32, {"block (0,0,0) thread (31,0,0)", here(-2), "shared memory shared[32] of 32 elements"},
               [&] { kernel(1); });
  expect_fault(1, 32, {"block (0,0,0) thread (0,0,0)", "shared memory shared[-1] of 32 elements"}, [&] { kernel(-1); });
  expect_no_fault(1, 32, [&] { kernel(0); });
}

template <typename Element>
void count(const Element& expected) {
  LOCKSTEP_SHARED(Element, shared, 2);
  if (threadIdx.x == 0) shared[0] = 0;
  __syncthreads();
  atomicAdd(&shared[0], Element{1});
  __syncthreads();
  EXPECT_EQ(shared[0], expected);
}

// Each instantiation has its own array, and both launches of one find it unwritten.
TEST(EmulatedShared, AtomicsAndInstantiations) {
  expect_no_fault(2, 96, [] {
    count<int>(96);
    __syncthreads();
    count<float>(96);
    count<double>(96);
  });
}

TEST(EmulatedShared, AtomicsRaceWithOthers) {
  const auto kernel = [](bool barrier) {
    LOCKSTEP_SHARED(int, shared, 1);
    if (threadIdx.x == 0) shared[0] = 0;
    __syncthreads();
    atomicMax(&shared[0], static_cast<int>(threadIdx.x));
    if (barrier) __syncthreads();
    if (threadIdx.x == 40) EXPECT_EQ(shared[0], 63);
  };
  expect_fault(1, 64, {"race on shared memory shared[0]", "changed by thread"}, [&] { kernel(false); });
  expect_no_fault(1, 64, [&] { kernel(true); });
}

TEST(EmulatedMemory, Atomics) {
  for (const Schedule& schedule : kSchedules) {
    set_schedule(schedule);
    int values[] = {0, 1000, -1, 0, 0, 0};
    launch(3, 40, [&] {
      const auto i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
      atomicAdd(&values[0], 1);
      atomicMin(&values[1], i);
      atomicMax(&values[2], i);
      atomicOr(&values[3], 1 << i % 4);
      atomicCAS(&values[4], 0, 7);
      atomicExch(&values[5], 9);
    });
    EXPECT_EQ(std::vector<int>(values, values + 6), (std::vector<int>{120, 0, 119, 15, 7, 9}));
  }
}

// --- launches, and what else ends a kernel ---

TEST(EmulatedLaunch, SizesThatCudaRefuses) {
  const auto nothing = [] {};
  EXPECT_THROW(launch(0, 32, nothing), Fault);
  EXPECT_THROW(launch(1, 0, nothing), Fault);
  expect_fault(1, 1025, {"a launch of 1x1x1 blocks of 1025x1x1 threads"}, nothing);
  EXPECT_THROW(launch(1, dim3(32, 33), nothing), Fault);
  EXPECT_THROW(launch(1, dim3(1, 1, 65), nothing), Fault);
  EXPECT_THROW(launch(dim3(1, 65536), 1, nothing), Fault);
  EXPECT_THROW(launch(0x80000000U, 1, nothing), Fault);
  expect_no_fault(1, 1024, nothing);
  expect_no_fault(dim3(2, 3, 2), dim3(4, 4, 64), nothing);
}

TEST(EmulatedLaunch, ByAKernel) {
  expect_fault(1, 32, {"block (0,0,0) thread (", "launches another"}, [] { launch(1, 1, [] {}); });
}

TEST(EmulatedLaunch, ExceptionInside) {
  expect_fault(2, 32, {"block (1,0,0) thread (5,0,0): an exception: vector"}, [] {
    if (blockIdx.x == 1 && threadIdx.x == 5) static_cast<void>(std::vector<int>().at(1));
  });
  expect_fault(1, 1, {"block (0,0,0) thread (0,0,0): an exception"}, [] { throw 1; });
}

TEST(EmulatedLaunch, IndexOfALocalArray) {
  const auto kernel = [](int length) {
    Four local{};
    for (int i = 0; i < length; ++i) local.values[i] = static_cast<float>(threadIdx.x);
    EXPECT_EQ(local.values[3], static_cast<float>(threadIdx.x));
  };
  volatile int length = 5;
  expect_fault(1, 32, {"block (0,0,0) thread (", "a bad index", here(-4)}, [&] { kernel(length); });
  expect_no_fault(1, 32, [&] { kernel(4); });
}

TEST(EmulatedLaunch, DivisionByZero) {
  volatile int zero = 0;
  expect_fault(1, 1, {"block (0,0,0) thread (0,0,0)", here(1)}, [&] {
    const int quotient = 1 / zero;
    EXPECT_EQ(quotient, 0);
  });
}

int depth(int n) {
  volatile char local[1024] = {};
  return n == 0 ? local[0] : depth(n - 1) + local[n % 1024];
}

TEST(EmulatedLaunch, StackUsedUp) {
  expect_fault(1, 2, {"block (0,0,0) thread (", "its stack is used up"}, [] { EXPECT_EQ(depth(100000), 0); });
  expect_no_fault(1, 2, [] { EXPECT_EQ(depth(20), 0); });
}

// What a fault leaves behind does not disturb the next launch.
TEST(EmulatedLaunch, GoesOnAfterFaults) {
  Floats out(8);
  for (int i = 0; i < 100; ++i) {
    EXPECT_THROW(launch(1, 64, [&] { out.data[threadIdx.x] = 1; }), Fault);
    EXPECT_THROW(launch(1, 64, [] { threadIdx.x == 0 ? void() : __syncthreads(); }), Fault);
  }
  expect_no_fault(1, 8, [&] { out.data[threadIdx.x] = 2; });
  EXPECT_EQ(out.data[7], 2);
}

}  // namespace
}  // namespace lockstep::emulator

// Each fault that Emulator.h promises to report, planted in a small kernel, beside the same kernel without it.
#include <cuda_runtime.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "tests/kernels/Forms.h"
#include "tests/kernels/emulator/GuardedMemory.h"

namespace lockstep::emulator {
namespace {

using Side = GuardedMemory::Side;

constexpr unsigned kFullWarp = 0xffffffffU;
constexpr Schedule kSchedules[] = {
    {Schedule::Order::kForward}, {Schedule::Order::kReverse}, {Schedule::Order::kShuffled, 3}};

// Source lines that a report may name: those of MARKED statements that ran.
std::set<int> marked_lines;
#define MARKED(...) (marked_lines.insert(__LINE__), __VA_ARGS__)

/// Runs `kernel` in every schedule: each must report a Fault that holds all of `parts`, and a marked line.
template <typename Kernel>
void expect_fault(dim3 blocks, dim3 threads, const std::vector<std::string>& parts, const Kernel& kernel) {
  for (const Schedule& schedule : kSchedules) {
    marked_lines.clear();
    set_schedule(schedule);
    try {
      launch(blocks, threads, kernel);
      ADD_FAILURE() << "no fault";
    } catch (const Fault& fault) {
      const std::string message = fault.what();
      for (const std::string& part : parts) EXPECT_NE(message.find(part), std::string::npos) << message << "\n" << part;
      const auto named = [&](int line) {
        return (message + " ").find("EmulatorTest.cpp:" + std::to_string(line)) != std::string::npos;
      };
      EXPECT_TRUE(marked_lines.empty() || std::any_of(marked_lines.begin(), marked_lines.end(), named)) << message;
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

/// In memory with a guard page at one end.
struct Floats {
  explicit Floats(std::size_t length, Side side = Side::kEnd)
      : memory(length * sizeof(float), side), data(static_cast<float*>(memory.data())) {
    for (std::size_t i = 0; i < length; ++i) data[i] = static_cast<float>(i);
  }
  GuardedMemory memory;
  float* data;
};

struct alignas(16) Four {
  float values[4];
};

unsigned global_index() { return blockIdx.x * blockDim.x + threadIdx.x; }

// --- barriers ---

TEST(EmulatedBarrier, Dropped) {
  const auto reverse = [](bool barrier) {
    LOCKSTEP_SHARED(int, shared, 64);
    MARKED(shared[threadIdx.x] = static_cast<int>(threadIdx.x));
    if (barrier) __syncthreads();
    const int other = MARKED(shared[63 - threadIdx.x]);
    EXPECT_EQ(other, 63 - static_cast<int>(threadIdx.x));
  };
  expect_fault(1, 64, {"block (0,0,0) thread (", "shared memory shared["}, [&] { reverse(false); });
  expect_no_fault(1, 64, [&] { reverse(true); });
}

TEST(EmulatedBarrier, ReachedBySomeThreads) {
  const auto kernel = [](bool some) {
    if (some) MARKED(__syncthreads());
  };
  expect_fault({2, 2}, 96, {"block (", "thread (40,0,0) has returned", "thread (0,0,0) waits in __syncthreads"},
               [&] { kernel(threadIdx.x < 40); });
  expect_no_fault({2, 2}, 96, [&] { kernel(blockIdx.x == 0); });
}

TEST(EmulatedBarrier, OnceMoreForSomeThreads) {
  const auto kernel = [](unsigned times) {
    for (unsigned i = 0; i < times; ++i) MARKED(__syncthreads());
  };
  expect_fault(1, 64, {"thread (0,0,0) has returned", "thread (63,0,0) waits in __syncthreads"},
               [&] { kernel(2 + threadIdx.x / 63); });
  expect_no_fault(1, 64, [&] { kernel(2); });
}

TEST(EmulatedBarrier, AtTwoPlaces) {
  const auto kernel = [](bool first) {
    if (first) {
      MARKED(__syncthreads());
    } else {
      MARKED(__syncthreads());
    }
  };
  expect_fault(1, 64, {"thread (0,0,0) waits in __syncthreads at ", "thread (32,0,0) waits in __syncthreads at "},
               [&] { kernel(threadIdx.x < 32); });
  ASSERT_EQ(marked_lines.size(), 2U);
  expect_no_fault(2, 64, [&] { kernel(blockIdx.x == 0); });
  // In one line too.
  expect_fault(1, 64, {"cannot go on"}, [] { threadIdx.x < 32 ? MARKED(__syncthreads()) : __syncthreads(); });
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
  const Floats in(100);
  const auto kernel = [&](unsigned length) {
    float value = 0;
    if (global_index() < length) value = MARKED(in.data[global_index()]);
    EXPECT_GE(value, 0);
  };
  expect_fault(4, 32, {"block (3,0,0) thread (4,0,0)", "0 bytes past the end of 400"}, [&] { kernel(101); });
  expect_no_fault(4, 32, [&] { kernel(100); });
}

TEST(EmulatedMemory, WrittenPastTheEnd) {
  const Floats out(100);
  const auto kernel = [&](unsigned length) {
    if (global_index() < length) MARKED(out.data[global_index()] = 1);
  };
  expect_fault(4, 32, {"block (3,0,0) thread (4,0,0)", "0 bytes past the end of 400"}, [&] { kernel(101); });
  expect_no_fault(4, 32, [&] { kernel(100); });
}

TEST(EmulatedMemory, BeforeTheStart) {
  const Floats out(64, Side::kStart);
  const auto kernel = [&](int shift) { MARKED(out.data[static_cast<int>(threadIdx.x) - shift] += 1); };
  expect_fault(1, 32, {"block (0,0,0) thread (0,0,0)", "4 bytes before the start of 256"}, [&] { kernel(1); });
  expect_no_fault(1, 32, [&] { kernel(0); });
}

// On the far side from its guard page lies the rest of another page.
TEST(EmulatedMemory, WrittenBesideIt) {
  for (const Side side : {Side::kStart, Side::kEnd}) {
    const Floats out(64, side);
    const int outside = side == Side::kStart ? 64 : -1;
    expect_no_fault(1, 64, [&] { out.data[threadIdx.x] = 0; });
    EXPECT_TRUE(out.memory.surroundings_intact());
    expect_no_fault(1, 1, [&] { out.data[outside] = 0; });
    EXPECT_FALSE(out.memory.surroundings_intact());
  }
}

TEST(EmulatedMemory, UnwrittenTail) {
  const kernels::Form& form = *kernels::forms().back();
  for (const unsigned length : {99U, 100U}) {
    const kernels::Buffer<float> out(form, 100, {});
    form.run([&] {
      launch(4, 32, [&] {
        if (global_index() < length) out.data()[global_index()] = 1;
      });
    });
    const double error = kernels::relative_error(out.values(), std::vector<double>(100, 1));
    EXPECT_EQ(std::isnan(error), length == 99);
    EXPECT_EQ(error == 0, length == 100);
  }
}

TEST(EmulatedMemory, Misaligned) {
  const Floats in(68, Side::kStart);
  const Floats out(64, Side::kStart);
  const auto kernel = [&](unsigned shift) {
    const auto* from = reinterpret_cast<const Four*>(in.data + shift);
    auto* to = reinterpret_cast<Four*>(out.data);
    MARKED(to[threadIdx.x] = from[threadIdx.x]);
  };
  expect_fault(1, 16, {"block (0,0,0) thread (", "misaligned"}, [&] { kernel(1); });
  expect_no_fault(1, 16, [&] { kernel(4); });
}

TEST(EmulatedMemory, RaceThatDecidesTheResult) {
  static const kernels::Form& form = *kernels::forms().back();
  static const kernels::Buffer<int> out(form, 1, {});
  const auto number_blocks = [](unsigned blocks) {
    form.run([&] { launch(blocks, 1, [] { out.data()[0] = static_cast<int>(blockIdx.x); }); });
  };
  number_blocks(1);
  EXPECT_FATAL_FAILURE(form.run([] { launch(2, 1, [] { out.data()[0] = static_cast<int>(blockIdx.x); }); }),
                       "decides the result");
}

TEST(EmulatedMemory, Atomics) {
  for (const Schedule& schedule : kSchedules) {
    set_schedule(schedule);
    int values[] = {0, 1000, -1, 0, 0, 0};
    launch(3, 40, [&] {
      const auto i = static_cast<int>(global_index());
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

// --- warps ---

TEST(EmulatedWarp, MaskWithoutTheCaller) {
  const auto kernel = [](unsigned mask) { MARKED(__shfl_xor_sync(mask, 1.0F, 0)); };
  expect_fault(1, 32, {"block (0,0,0) thread (31,0,0)", "__shfl_xor_sync"}, [&] { kernel(0x7fffffffU); });
  expect_no_fault(1, 32, [&] { kernel(kFullWarp); });
}

TEST(EmulatedWarp, MaskNamesLanesThatHaveReturned) {
  const auto kernel = [](unsigned mask) {
    if (threadIdx.x >= 24) return;
    MARKED(__shfl_xor_sync(mask, 1.0F, 1));
  };
  const std::string waits = "thread (0,0,0) waits in __shfl_xor_sync with mask 0xffffffff";
  expect_fault(1, 32, {waits, "thread (24,0,0) has returned"}, [&] { kernel(kFullWarp); });
  expect_fault(1, 24, {waits}, [&] { kernel(kFullWarp); });  // a part of a warp
  expect_no_fault(1, 32, [&] { kernel(0x00ffffffU); });
}

TEST(EmulatedWarp, MasksThatDiffer) {
  const auto kernel = [](unsigned odd) { MARKED(__ballot_sync(threadIdx.x % 2 == 0 ? kFullWarp : odd, 1)); };
  expect_fault(1, 32,
               {"block (0,0,0)", "thread (0,0,0) waits in __ballot_sync with mask 0xffffffff",
                "thread (1,0,0) waits in __ballot_sync with mask 0xfffffffe"},
               [&] { kernel(0xfffffffeU); });
  expect_no_fault(1, 32, [&] { kernel(kFullWarp); });
}

TEST(EmulatedWarp, LaneOutsideTheMask) {
  const auto kernel = [](int lanes) {
    if (threadIdx.x < 16) MARKED(__shfl_xor_sync(0xffffU, 1.0, lanes));
  };
  expect_fault(1, 32, {"block (0,0,0) thread (", "__shfl_xor_sync from lane ", "outside its mask"},
               [&] { kernel(16); });
  expect_no_fault(1, 32, [&] { kernel(8); });
}

TEST(EmulatedWarp, DifferentOperations) {
  const auto kernel = [](unsigned first_half, unsigned second_half) {
    MARKED(threadIdx.x < 16 ? __shfl_sync(first_half, 1U, 0) : __ballot_sync(second_half, 1));
  };
  expect_fault(1, 32, {"waits in __shfl_sync", "waits in __ballot_sync"}, [&] { kernel(kFullWarp, kFullWarp); });
  expect_no_fault(1, 32, [&] { kernel(0xffffU, 0xffff0000U); });
}

TEST(EmulatedWarp, Width) {
  const auto kernel = [](int width) { MARKED(__shfl_sync(kFullWarp, 1, 0, width)); };
  for (const int width : {12, 0, 64}) expect_fault(1, 32, {"thread (", "__shfl_sync of width"}, [&] { kernel(width); });
  expect_no_fault(1, 32, [&] { kernel(8); });
}

// As in the CUDA C++ Programming Guide's section on warp shuffle functions.
TEST(EmulatedWarp, Results) {
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
    EXPECT_EQ(__shfl_xor_sync(kFullWarp, static_cast<std::uint16_t>(lane), 1), lane ^ 1);
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
  const auto kernel = [](unsigned threads_per_element) {
    LOCKSTEP_SHARED(float, shared, 64);
    MARKED(shared[threadIdx.x / threads_per_element] = 1);
  };
  for (const unsigned threads : {2U, 64U}) {  // of one warp, and of two as well
    expect_fault(1, 64, {"block (0,0,0) thread (", "race on shared memory shared[", "written by thread"},
                 [&] { kernel(threads); });
  }
  expect_no_fault(1, 64, [&] { kernel(1); });
}

TEST(EmulatedShared, ReadAndWriteOfTwoWarps) {
  const auto kernel = [](bool barrier) {
    LOCKSTEP_SHARED(int, shared, 64);
    shared[threadIdx.x] = 1;
    __syncthreads();
    const int other = MARKED(shared[threadIdx.x ^ 32U]);
    if (barrier) __syncthreads();
    MARKED(shared[threadIdx.x] = other + 1);
  };
  expect_fault(1, 64, {"block (0,0,0) thread (", "race on shared memory shared["}, [&] { kernel(false); });
  expect_no_fault(1, 64, [&] { kernel(true); });
}

// A warp's lanes do not move in step.
TEST(EmulatedShared, WithinAWarp) {
  const auto kernel = [](bool after_write, bool after_read) {
    LOCKSTEP_SHARED(int, shared, 32);
    MARKED(shared[threadIdx.x] = static_cast<int>(threadIdx.x));
    if (after_write) __syncwarp();
    const int other = MARKED(shared[31 - threadIdx.x]);
    if (after_read) __syncwarp();
    MARKED(shared[threadIdx.x] = other);
  };
  expect_fault(1, 32, {"block (0,0,0) thread (", "shared memory shared["}, [&] { kernel(false, true); });
  expect_fault(1, 32, {"block (0,0,0) thread (", "race on shared memory shared["}, [&] { kernel(true, false); });
  expect_no_fault(1, 32, [&] { kernel(true, true); });
}

TEST(EmulatedShared, WarpBarrierOrdersItsLanesOnly) {
  const auto kernel = [](unsigned mask, unsigned reader) {
    LOCKSTEP_SHARED(int, shared, 1);
    if (threadIdx.x == 0) MARKED(shared[0] = 1);
    if ((mask >> threadIdx.x % 32 & 1U) != 0) {
      __syncwarp(mask);
      __syncwarp(mask);
    }
    if (threadIdx.x == reader) static_cast<void>(MARKED(static_cast<int>(shared[0])));
  };
  expect_no_fault(1, 64, [&] { kernel(0xffffU, 15); });
  for (const unsigned reader : {16U, 32U, 48U}) {
    expect_fault(1, 64, {"block (0,0,0) thread (", "shared memory shared[0]"}, [&] { kernel(0xffffU, reader); });
  }
}

// One barrier of a half and then one of the other order all, by way of the lane in both.
TEST(EmulatedShared, WarpBarriersAddUp) {
  const auto kernel = [](unsigned second) {
    LOCKSTEP_SHARED(int, shared, 1);
    if (threadIdx.x == 0) MARKED(shared[0] = 1);
    if (threadIdx.x <= 16) __syncwarp(0x1ffffU);
    if ((second >> threadIdx.x & 1U) != 0) __syncwarp(second);
    if (threadIdx.x == 31) static_cast<void>(MARKED(static_cast<int>(shared[0])));
  };
  expect_fault(1, 32, {"block (0,0,0) thread (", "shared memory shared[0]"}, [&] { kernel(0xfffe0000U); });
  expect_no_fault(1, 32, [&] { kernel(0xffff0000U); });
}

// They "do not imply a memory barrier".
TEST(EmulatedShared, ShufflesOrderNothing) {
  const auto kernel = [](bool barrier) {
    LOCKSTEP_SHARED(int, shared, 32);
    MARKED(shared[threadIdx.x] = 1);
    barrier ? __syncwarp() : static_cast<void>(__shfl_sync(kFullWarp, 1, 0));
    MARKED(static_cast<int>(shared[31 - threadIdx.x]));
  };
  expect_fault(1, 32, {"block (0,0,0) thread (", "race on shared memory shared["}, [&] { kernel(false); });
  expect_no_fault(1, 32, [&] { kernel(true); });
}

TEST(EmulatedShared, Unwritten) {
  const auto kernel = [](bool all) {
    LOCKSTEP_SHARED(double, shared, 32);
    if (all || threadIdx.x != 7) shared[threadIdx.x] = 1;
    __syncthreads();
    if (threadIdx.x == 0) static_cast<void>(MARKED(static_cast<double>(shared[7])));
  };
  expect_fault(1, 32, {"block (0,0,0) thread (0,0,0)", "read of unwritten shared memory shared[7]"},
               [&] { kernel(false); });
  expect_no_fault(1, 32, [&] { kernel(true); });
}

TEST(EmulatedShared, NextBlockFindsNothing) {
  const auto kernel = [](bool every_block) {
    LOCKSTEP_SHARED(int, shared, 1);
    if (every_block || blockIdx.x == 1) shared[0] = 1;
    MARKED(static_cast<int>(shared[0]));
  };
  expect_fault(3, 1, {"thread (0,0,0)", "read of unwritten shared memory shared[0]"}, [&] { kernel(false); });
  expect_no_fault(3, 1, [&] { kernel(true); });
}

TEST(EmulatedShared, OutOfBounds) {
  const auto kernel = [](int shift) {
    LOCKSTEP_SHARED(float, shared, 32);
    MARKED(shared[static_cast<int>(threadIdx.x) + shift] = 1);
  };
  expect_fault(1, 32, {"block (0,0,0) thread (31,0,0)", "shared memory shared[32] of 32"}, [&] { kernel(1); });
  expect_fault(1, 32, {"block (0,0,0) thread (0,0,0)", "shared memory shared[-1] of 32"}, [&] { kernel(-1); });
  expect_no_fault(1, 32, [&] { kernel(0); });
}

template <typename Element>
void count_threads(Element expected) {
  LOCKSTEP_SHARED(Element, shared, 2);
  if (threadIdx.x == 0) shared[0] = 0;
  __syncthreads();
  atomicAdd(&shared[0], 1);
  __syncthreads();
  EXPECT_EQ(static_cast<Element>(shared[0]), expected);
}

// Each instantiation has an array of its own; a second call in the same kernel meets the first one's.
TEST(EmulatedShared, AtomicsAndInstantiations) {
  expect_no_fault(2, 96, [] {
    count_threads<int>(96);
    count_threads<float>(96);
    count_threads<double>(96);
    count_threads<int>(96);
  });
}

TEST(EmulatedShared, AtomicsRaceWithOthers) {
  const auto kernel = [](bool barrier) {
    LOCKSTEP_SHARED(int, shared, 1);
    if (threadIdx.x == 0) shared[0] = 0;
    __syncthreads();
    MARKED(atomicMax(&shared[0], 1));
    if (barrier) __syncthreads();
    if (threadIdx.x == 40) static_cast<void>(MARKED(static_cast<int>(shared[0])));
  };
  expect_fault(1, 64, {"block (0,0,0) thread (", "race on shared memory shared[0]"}, [&] { kernel(false); });
  expect_no_fault(1, 64, [&] { kernel(true); });
}

// --- launches, and what else ends a kernel ---

TEST(EmulatedLaunch, SizesThatCudaRefuses) {
  const auto nothing = [] {};
  expect_fault(0, 32, {"a launch of 0x1x1 blocks"}, nothing);
  expect_fault(1, 0, {"a launch of 1x1x1 blocks of 0x1x1 threads"}, nothing);
  expect_fault(1, 1025, {"a launch of 1x1x1 blocks of 1025x1x1 threads"}, nothing);
  expect_fault(1, dim3(32, 33), {"a launch"}, nothing);
  expect_fault(1, dim3(1, 1, 65), {"a launch"}, nothing);
  expect_fault(dim3(1, 65536), 1, {"a launch"}, nothing);
  expect_fault(0x80000000U, 1, {"a launch"}, nothing);
  expect_no_fault(1, 1024, nothing);
  expect_no_fault(dim3(2, 3, 2), dim3(4, 4, 64), nothing);
}

TEST(EmulatedLaunch, ByAKernel) {
  expect_fault(1, 32, {"block (0,0,0) thread (", "launches another"}, [] { launch(1, 1, [] {}); });
}

TEST(EmulatedLaunch, ExceptionInside) {
  const auto kernel = [](std::size_t index) { static_cast<void>(std::vector<int>(1).at(index)); };
  expect_fault(2, 32, {"block (1,0,0) thread (5,0,0): an exception: vector"},
               [&] { kernel(blockIdx.x == 1 && threadIdx.x == 5 ? 1 : 0); });
  expect_fault(1, 1, {"block (0,0,0) thread (0,0,0): an exception"}, [] { throw 1; });
  expect_no_fault(2, 32, [&] { kernel(0); });
}

TEST(EmulatedLaunch, IndexOfALocalArray) {
  const auto kernel = [](int length) {
    Four local{};
    for (int i = 0; i < length; ++i) MARKED(local.values[i] = static_cast<float>(threadIdx.x));
    EXPECT_EQ(local.values[3], static_cast<float>(threadIdx.x));
  };
  volatile int length = 5;
  expect_fault(1, 32, {"block (0,0,0) thread (", "a bad index"}, [&] { kernel(length); });
  expect_no_fault(1, 32, [&] { kernel(4); });
}

TEST(EmulatedLaunch, DivisionByZero) {
  volatile int divisor = 0;
  const auto kernel = [&] { EXPECT_EQ(MARKED(2 / divisor), 2); };
  expect_fault(1, 1, {"block (0,0,0) thread (0,0,0)"}, kernel);
  divisor = 1;
  expect_no_fault(1, 1, kernel);
}

int recurse(int times) {  // NOLINT(misc-no-recursion)
  volatile char local[1024] = {};
  return times == 0 ? local[0] : recurse(times - 1) + local[times % 1024];
}

TEST(EmulatedLaunch, StackUsedUp) {
  expect_fault(1, 2, {"block (0,0,0) thread (", "its stack is used up"}, [] { EXPECT_EQ(recurse(100000), 0); });
  expect_no_fault(1, 2, [] { EXPECT_EQ(recurse(20), 0); });
}

// What a fault leaves behind does not disturb the next launch.
TEST(EmulatedLaunch, GoesOnAfterFaults) {
  const Floats out(8);
  for (int i = 0; i < 20; ++i) {
    EXPECT_THROW(launch(1, 64, [&] { out.data[threadIdx.x] = 1; }), Fault);
    EXPECT_THROW(launch(1, 64, [] { threadIdx.x == 0 ? void() : __syncthreads(); }), Fault);
    EXPECT_THROW(current(), std::logic_error);
  }
  expect_no_fault(1, 8, [&] { out.data[threadIdx.x] = 2; });
  EXPECT_EQ(out.data[7], 2);
}

}  // namespace
}  // namespace lockstep::emulator

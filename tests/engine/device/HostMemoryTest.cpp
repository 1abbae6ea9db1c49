#include "engine/device/HostMemory.h"

#include <ATen/Functions.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/alignment.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lockstep {
namespace {

at::Tensor numbers(std::int64_t count) { return at::empty({count}, at::kFloat); }

// What PyTorch's own allocator does not do with glibc 2.36: the hole is too small for what comes out of it.
TEST(HostMemory, WhatIsFreedServesTheNextOfItsSize) {
  for (const std::int64_t count : {std::int64_t{20000}, std::int64_t{1} << 20, std::int64_t{5} << 20}) {
    std::vector<at::Tensor> tensors;
    for (int i = 0; i < 9; ++i) tensors.push_back(numbers(count));
    const void* const freed = tensors[4].const_data_ptr();
    tensors[4].reset();
    const at::Tensor next = numbers(count);
    EXPECT_EQ(next.const_data_ptr(), freed) << count;
  }
}

TEST(HostMemory, IsAlignedAndWhole) {
  std::vector<at::Tensor> tensors;
  for (std::int64_t count = 1; count < 3000; count += 7) {
    tensors.push_back(numbers(count).fill_(static_cast<double>(count)));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensors.back().const_data_ptr()) % c10::gAlignment, 0) << count;
  }
  for (const at::Tensor& tensor : tensors) EXPECT_TRUE(tensor.eq(tensor.numel()).all().item<bool>());
}

TEST(HostMemory, NothingTakesNone) { EXPECT_EQ(numbers(0).const_data_ptr(), nullptr); }

// As oneDNN asks for it.
TEST(HostMemory, IsThereWithoutATensor) {
  c10::Allocator& allocator = *c10::GetCPUAllocator();
  void* const memory = allocator.raw_allocate(100);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % c10::gAlignment, 0);
  allocator.raw_deallocate(memory);
}

TEST(HostMemory, TooMuchIsRefusedAsPyTorchRefusesIt) {
  EXPECT_THROW(numbers(std::int64_t{1} << 58), c10::OutOfMemoryError);
  EXPECT_THROW(c10::GetCPUAllocator()->allocate(SIZE_MAX - 3), c10::OutOfMemoryError);
}

// Before a test makes a tensor.
[[maybe_unused]] const bool kReused = [] {
  reuse_host_memory();
  return true;
}();

}  // namespace
}  // namespace lockstep

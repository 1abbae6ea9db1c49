#include "engine/device/HostMemory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/alignment.h>
#include <c10/util/Exception.h>
#include <malloc.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>

namespace lockstep {

namespace {

// Where a block of malloc's begins stands right before the tensor, which begins on the next boundary.
static_assert(alignof(std::max_align_t) >= sizeof(void*));

void release(void* tensor) {
  if (tensor == nullptr) return;
  c10::profiledCPUMemoryReporter().Delete(tensor);
  std::free(static_cast<void**>(tensor)[-1]);
}

class HostAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    void* tensor = bytes == 0 ? nullptr : aligned(bytes);
    if (tensor != nullptr) c10::profiledCPUMemoryReporter().New(tensor, bytes);
    return {tensor, tensor, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }

 private:
  static void* aligned(std::size_t bytes) {
    constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max() - c10::gAlignment;
    void* block = bytes <= kMost ? std::malloc(bytes + c10::gAlignment) : nullptr;
    TORCH_CHECK_WITH(OutOfMemoryError, block != nullptr, "can't allocate memory: ", bytes, " bytes of a tensor");
    const std::uintptr_t past = reinterpret_cast<std::uintptr_t>(block) + c10::gAlignment;
    void* const tensor = reinterpret_cast<void*>(past / c10::gAlignment * c10::gAlignment);
    static_cast<void**>(tensor)[-1] = block;
    return tensor;
  }
};

}  // namespace

void reuse_host_memory() {
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  static HostAllocator allocator;
  c10::SetCPUAllocator(&allocator, /*priority=*/1);
}

}  // namespace lockstep

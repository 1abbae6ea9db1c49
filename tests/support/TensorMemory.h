// How much memory tensors take, counted at PyTorch's allocator.
#pragma once

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>

namespace lockstep {

/// The most bytes of tensors that `run` holds at once beyond those that were there before. On the CPU, of this thread
/// and of what PyTorch starts from it.
inline std::int64_t peak_tensor_bytes(const std::function<void()>& run) {
  class Counter : public c10::MemoryReportingInfoBase {
   public:
    void reportMemoryUsage(void* /*place*/, std::int64_t size, std::size_t /*allocated*/, std::size_t /*reserved*/,
                           c10::Device /*device*/) override {
      held += size;  // negative when it is freed
      peak = std::max(peak, held);
    }
    bool memoryProfilingEnabled() const override { return true; }
    std::int64_t held = 0;
    std::int64_t peak = 0;
  };
  const auto counter = std::make_shared<Counter>();
  const c10::DebugInfoGuard counting(c10::DebugInfoKind::PROFILER_STATE, counter);
  run();
  return counter->peak;
}

}  // namespace lockstep

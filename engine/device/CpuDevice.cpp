#include "engine/device/CpuDevice.h"

#include <sys/resource.h>

#include "common/Error.h"

namespace lockstep {

std::string CpuDevice::description() const {
  return "CPU, " + std::to_string(threads_) + (threads_ == 1 ? " thread each" : " threads each");
}

std::int64_t CpuDevice::peak_memory() const {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

std::string CpuDevice::watch(const std::function<void()>&) { throw InternalError("steps on a CPU are not captured"); }

std::unique_ptr<CapturedWork> CpuDevice::capture(const std::function<void()>&) {
  throw InternalError("steps on a CPU are not captured");
}

}  // namespace lockstep

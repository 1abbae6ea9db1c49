// The host's cores.
#pragma once

#include "engine/device/Device.h"

namespace lockstep {

class CpuDevice : public Device {
 public:
  explicit CpuDevice(int threads) : threads_(threads) {}

  c10::Device place() const override { return c10::Device(c10::kCPU); }
  std::string description() const override;
  bool asynchronous() const override { return false; }
  std::int64_t peak_memory() const override;
  /// InternalError, both: there is nothing to capture.
  std::string watch(const std::function<void()>& enqueue) override;
  std::unique_ptr<CapturedWork> capture(const std::function<void()>& enqueue) override;

 private:
  int threads_;
};

}  // namespace lockstep

// A GPU, through CUDA.
#pragma once

#include <cstdint>
#include <filesystem>

#include "engine/device/Device.h"

namespace lockstep {

/// Loads PyTorch's CUDA libraries, and makes a stream of its own current for the calling thread: the rank's work is
/// enqueued there. One per process.
class CudaDevice : public Device {
 public:
  struct Options {
    int index = 0;      ///< among the devices that this process sees
    bool tf32 = false;  ///< float32 products in TensorFloat-32
  };

  /// InputError when PyTorch's CUDA libraries, the driver or the device cannot be used.
  explicit CudaDevice(const Options& options);

  c10::Device place() const override { return place_; }
  std::string description() const override;
  std::string card() const override;
  bool asynchronous() const override { return true; }
  std::unique_ptr<CapturedWork> capture(const std::function<void()>& enqueue) override;
  std::int64_t peak_memory() const override;

  /// "0000:3b:00.0": which of the host's cards it is, whatever CUDA_VISIBLE_DEVICES says.
  std::string pci_bus_id() const;

 private:
  c10::Device place_;
  bool tf32_;
};

}  // namespace lockstep

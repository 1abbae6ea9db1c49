// A GPU, through CUDA: the one piece of the engine that links PyTorch's CUDA libraries. It is loaded when a job
// computes on GPUs, so that others neither wait for them nor need them.
#pragma once

#include <memory>

#include "engine/device/Device.h"

namespace lockstep {

struct CudaOptions {
  int index = 0;               ///< among the devices that this process sees
  bool tf32 = false;           ///< float32 products in TensorFloat-32
  bool deterministic = false;  ///< of cuDNN's algorithms no tried one, but one that always gives the same bits
};

/// Loads lockstep-cuda.so, which stands beside the program or library that holds the engine. The device makes a stream
/// of its own current for the calling thread: the rank's work is enqueued there. One per process. Throws InputError
/// when PyTorch's CUDA libraries, the driver or the device cannot be used.
std::unique_ptr<Device> load_cuda_device(const CudaOptions& options);

}  // namespace lockstep

/// What lockstep-cuda.so offers.
extern "C" void lockstep_make_cuda_device(const lockstep::CudaOptions& options,
                                          std::unique_ptr<lockstep::Device>& device);

// Failures of CUDA's runtime as errors of ours.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "common/Error.h"

namespace lockstep::kernels {

/// Throws what a failed call means, with CUDA's own words behind `doing`:
/// - OutOfMemoryError: the device's memory, or what of the host's can be pinned, is at its end;
/// - InputError: this machine has no such device, or its driver does not fit, so that nothing can be started;
/// - SystemError: anything else.
/// CUDA keeps the error for the next that asks, which would take it for its own: the caller clears it.
inline void throw_cuda_error(const std::string& doing, cudaError_t error) {
  const std::string text = doing + ": " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")";
  switch (error) {
    case cudaErrorMemoryAllocation:
      throw OutOfMemoryError(text);
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorCompatNotSupportedOnDevice:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
      throw InputError(text);
    default:
      throw SystemError(text);
  }
}

/// Does so when the call failed, and clears CUDA's last error.
inline void check_cuda(const std::string& doing, cudaError_t error) {
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  throw_cuda_error(doing, error);
}

}  // namespace lockstep::kernels

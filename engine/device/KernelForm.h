// Which form of a kernel computes: the one for the CPU, or the one that takes a stream.
#pragma once

#include <c10/core/Device.h>

#include "kernels/FlatWork.h"
#include "kernels/Stream.h"

namespace lockstep {

/// Whether kernels over memory of this device are the forms that take a stream.
bool runs_on_stream(const c10::Device& device);

/// Of the pieces that kernels over flat storage work on.
inline std::int32_t piece_length(const c10::Device& device) {
  return runs_on_stream(device) ? kernels::kCudaPieceLength : kernels::kCpuPieceLength;
}

/// The stream on which PyTorch's operators of this thread run, for `runs_on_stream` devices.
kernels::Stream current_stream();

/// Calls `launch()` or `launch(stream)`, which passes what it is given on to a kernel as its last arguments.
template <typename Launch>
void with_kernel_form([[maybe_unused]] const c10::Device& device, const Launch& launch) {
#if LOCKSTEP_CUDA
  if (runs_on_stream(device)) return launch(current_stream());
#endif
  launch();
}

}  // namespace lockstep

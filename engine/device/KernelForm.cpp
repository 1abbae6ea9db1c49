#include "engine/device/KernelForm.h"

#if LOCKSTEP_CUDA
#include <c10/cuda/CUDAStream.h>
#endif

namespace lockstep {

bool runs_on_stream(const c10::Device& device) { return device.is_cuda(); }

#if LOCKSTEP_CUDA
kernels::Stream current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }
#endif

}  // namespace lockstep

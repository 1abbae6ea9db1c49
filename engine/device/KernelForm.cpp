#include "engine/device/KernelForm.h"

#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace lockstep {

bool runs_on_stream(const c10::Device& device) { return device.is_cuda(); }

kernels::Stream current_stream() {
  const c10::impl::VirtualGuardImpl cuda(c10::kCUDA);
  return static_cast<kernels::Stream>(cuda.getStream(cuda.getDevice()).native_handle());
}

}  // namespace lockstep

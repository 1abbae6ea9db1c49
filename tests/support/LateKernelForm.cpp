// In place of engine/device/KernelForm.cpp: kernels take the memory of a LateDevice as it is when what was enqueued
// before them has run.
#include "engine/device/KernelForm.h"
#include "tests/support/LateDevice.h"

namespace lockstep {

bool runs_on_stream(const c10::Device& device) {
  if (device.is_privateuseone()) LateDevice::settle();
  return false;
}

kernels::Stream current_stream() { return nullptr; }

}  // namespace lockstep

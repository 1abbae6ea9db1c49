#include "engine/collectives/DeviceWait.h"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace lockstep {

void await_device(Communicator& communicator, const c10::Device& device) {
  if (device.is_cpu()) return;
  c10::Event reached(device.type());
  reached.record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  communicator.await([&] { return reached.query(); });
}

}  // namespace lockstep

// The engine inside a shared library, as another program embeds it.
#include <cstring>
#include <string>

#include "common/Error.h"
#include "engine/device/CudaModule.h"

/// What is said when a device is asked for that is not there: at most `size` bytes of it.
extern "C" void embedded_refusal(char* text, std::size_t size) {
  try {
    lockstep::load_cuda_device({.index = 64});
  } catch (const lockstep::Error& error) {
    std::strncpy(text, error.what(), size - 1);
  }
}

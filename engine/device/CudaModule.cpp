#include "engine/device/CudaModule.h"

#include <dlfcn.h>

#include <filesystem>

#include "common/Error.h"
#include "common/OwnFile.h"

namespace lockstep {

std::unique_ptr<Device> load_cuda_device(const CudaOptions& options) {
  const std::filesystem::path path = own_file().parent_path() / "lockstep-cuda.so";
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // for good
  if (module == nullptr) {
    throw InputError(std::string("cannot load PyTorch for CUDA: ") + ::dlerror() +
                     "; install torch 2.11 with its CUDA libraries, or set device=cpu");
  }
  const auto make =
      reinterpret_cast<decltype(&lockstep_make_cuda_device)>(::dlsym(module, "lockstep_make_cuda_device"));
  if (make == nullptr) throw InternalError(path.string() + " is not of this build");
  std::unique_ptr<Device> device;
  make(options, device);
  return device;
}

}  // namespace lockstep

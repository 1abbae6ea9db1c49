#include "engine/device/CudaModule.h"

#include <dlfcn.h>
#include <link.h>

#include <filesystem>

#include "common/Error.h"

namespace lockstep {

namespace {

namespace fs = std::filesystem;

// The program or the shared library that holds the engine.
fs::path own_file() {
  Dl_info info{};
  link_map* map = nullptr;
  const bool found = ::dladdr1(reinterpret_cast<void*>(&load_cuda_device), &info, reinterpret_cast<void**>(&map),
                               RTLD_DL_LINKMAP) != 0;
  // The loader knows the program itself by no path.
  if (!found || *map->l_name == '\0') return fs::read_symlink("/proc/self/exe");
  return fs::canonical(map->l_name);
}

}  // namespace

std::unique_ptr<Device> load_cuda_device(const CudaOptions& options) {
  const fs::path path = own_file().parent_path() / "lockstep-cuda.so";
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

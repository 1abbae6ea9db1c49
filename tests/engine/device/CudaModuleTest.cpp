#include <dlfcn.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/Error.h"
#include "engine/device/CudaDevice.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

// That libtorch_cuda loads, and that all the module wants of it is there, needs no GPU.
TEST(CudaModule, Loads) {
  const auto module = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "lockstep-cuda.so";
  void* handle = ::dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(handle, nullptr) << ::dlerror();
  EXPECT_NE(::dlsym(handle, "lockstep_capture_cuda_graph"), nullptr);
}

TEST(CudaDevice, RefusesWhatIsNotThere) {
  EXPECT_ERROR(CudaDevice({.index = 64}), InputError, "GPU 64", "CUDA sees ");
}

}  // namespace
}  // namespace lockstep

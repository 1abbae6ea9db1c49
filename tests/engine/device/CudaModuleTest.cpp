#include "engine/device/CudaModule.h"

#include <gtest/gtest.h>

#include <string>

#include "common/Error.h"

namespace lockstep {
namespace {

// That libtorch_cuda loads, and that all the module wants of it is there, needs no GPU: the refusal is CUDA's own, or
// ours where there are GPUs, and not the loader's.
TEST(CudaModule, LoadsAndRefusesADeviceThatIsNotThere) {
  try {
    load_cuda_device({.index = 64});
    FAIL() << "there is no device 64";
  } catch (const InputError& error) {
    EXPECT_EQ(std::string(error.what()).find("cannot load"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("CUDA"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lockstep

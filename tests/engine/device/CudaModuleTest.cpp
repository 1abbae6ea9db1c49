#include "engine/device/CudaModule.h"

#include <gtest/gtest.h>

#include "common/Error.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

// That libtorch_cuda loads, and that all the module wants of it is there, needs no GPU: the refusal is CUDA's own, or
// ours where there are GPUs.
TEST(CudaModule, LoadsAndRefusesADeviceThatIsNotThere) {
  EXPECT_ERROR(load_cuda_device({.index = 64}), InputError, "CUDA");
}

}  // namespace
}  // namespace lockstep

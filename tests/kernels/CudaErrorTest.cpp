#include "kernels/CudaError.h"

#include <gtest/gtest.h>

#include "tests/support/ExpectError.h"

namespace lockstep::kernels {
namespace {

TEST(CudaError, IsOfTheTypeThatACallerCanActOn) {
  EXPECT_NO_THROW(check_cuda("setting up", cudaSuccess));
  EXPECT_ERROR(check_cuda("pinning 3 MiB", cudaErrorMemoryAllocation), OutOfMemoryError, "pinning 3 MiB: out of memory",
               "cudaErrorMemoryAllocation");
  EXPECT_ERROR(check_cuda("CUDA cannot be used", cudaErrorInsufficientDriver), InputError, "driver");
  EXPECT_ERROR(check_cuda("CUDA cannot be used", cudaErrorNoDevice), InputError, "cudaErrorNoDevice");
  EXPECT_ERROR(check_cuda("asking", cudaErrorIllegalAddress), SystemError, "illegal memory access");
  EXPECT_ERROR(check_cuda("asking", cudaErrorECCUncorrectable), SystemError, "asking: uncorrectable ECC error");
}

}  // namespace
}  // namespace lockstep::kernels

#include "engine/program/TorchError.h"

#include <gtest/gtest.h>

#include "common/Error.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

c10::Error plain(const std::string& text) { return {{__func__, __FILE__, __LINE__}, text}; }

TEST(TorchError, SaysWhoIsToBlame) {
  EXPECT_ERROR(rethrow(plain("shape '[2]' is invalid"), "the node"), InputError, "the node: shape");
  EXPECT_ERROR(rethrow(plain("[enforce fail] DefaultCPUAllocator: not enough memory"), "c"), OutOfMemoryError, "c: ");
  EXPECT_ERROR(rethrow(c10::OutOfMemoryError({__func__, __FILE__, __LINE__}, "CUDA out of memory"), "c"),
               OutOfMemoryError, "CUDA out of memory");
  EXPECT_ERROR(rethrow(c10::AcceleratorError({__func__, __FILE__, __LINE__}, 700, "an illegal access"), "c"),
               SystemError, "an illegal access");
  for (const char* text : {"CUDA error: unspecified launch failure", "CUBLAS_STATUS_EXECUTION_FAILED when calling",
                           "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"}) {
    EXPECT_ERROR(rethrow(plain(text), "c"), SystemError, text);
  }
}

}  // namespace
}  // namespace lockstep

// The form of kernels_gpu_test: the first CUDA device.
#include "tests/kernels/GpuForm.h"

#include <gtest/gtest.h>

#include <cstdio>

namespace lockstep::kernels {

const std::vector<std::unique_ptr<Form>>& forms() {
  static const std::vector<std::unique_ptr<Form>> all = [] {
    std::vector<std::unique_ptr<Form>> result;
    result.push_back(std::make_unique<GpuForm>());
    return result;
  }();
  return all;
}

}  // namespace lockstep::kernels

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!lockstep::kernels::has_gpu()) {
    std::printf("skipped: no CUDA device: %s\n", cudaGetErrorString(cudaGetLastError()));
    return 77;  // what CTest takes for skipped
  }
  return RUN_ALL_TESTS();
}

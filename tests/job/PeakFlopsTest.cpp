#include "job/PeakFlops.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

TEST(PeakFlops, IsOfTheCardAndThePrecision) {
  EXPECT_EQ(peak_flops("NVIDIA H100 80GB HBM3", Precision::kBf16, false), 989.4e12);
  EXPECT_EQ(peak_flops("NVIDIA H100 PCIe", Precision::kBf16, false), 756e12);
  EXPECT_EQ(peak_flops("NVIDIA A100-SXM4-80GB", Precision::kFp32, false), 19.5e12);
  EXPECT_EQ(peak_flops("NVIDIA A100-SXM4-80GB", Precision::kFp32, true), 156e12);
  EXPECT_EQ(peak_flops("NVIDIA L40S", Precision::kFp16, false), 362e12);
  EXPECT_EQ(peak_flops("Tesla T4", Precision::kFp32, true), 8.1e12);  // it has no TensorFloat-32
}

TEST(PeakFlops, IsNotGuessed) {
  EXPECT_FALSE(peak_flops("", Precision::kFp32, false));
  EXPECT_FALSE(peak_flops("NVIDIA H100 NVL", Precision::kBf16, false));
  EXPECT_FALSE(peak_flops("Tesla T4", Precision::kBf16, false));
}

}  // namespace
}  // namespace lockstep

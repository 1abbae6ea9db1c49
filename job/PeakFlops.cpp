#include "job/PeakFlops.h"

namespace lockstep {

namespace {

/// In 10¹² a second; 0: it has no such unit.
struct Card {
  std::string_view name;  ///< how CUDA's name begins
  double bf16, fp16, tf32, fp32, fp64;
};

// The longer of two names that begin alike comes first.
constexpr Card kCards[] = {
    {"NVIDIA H200", 989.4, 989.4, 494.7, 66.9, 66.9},
    {"NVIDIA H100 PCIe", 756, 756, 378, 51, 51},
    {"NVIDIA H100 80GB HBM3", 989.4, 989.4, 494.7, 66.9, 66.9},
    {"NVIDIA A100", 312, 312, 156, 19.5, 19.5},
    {"NVIDIA L40S", 362, 362, 183, 91.6, 0},
    {"NVIDIA L4", 121, 121, 60, 30.3, 0},
    {"Tesla V100", 0, 125, 0, 15.7, 7.8},
    {"Tesla T4", 0, 65, 0, 8.1, 0},
};

double peak(const Card& card, Precision precision, bool tf32) {
  switch (precision) {
    case Precision::kBf16:
      return card.bf16;
    case Precision::kFp16:
      return card.fp16;
    case Precision::kFp32:
      return tf32 && card.tf32 > 0 ? card.tf32 : card.fp32;
    case Precision::kFp64:
      return card.fp64;
    case Precision::kAuto:
      break;
  }
  return 0;
}

}  // namespace

std::optional<double> peak_flops(std::string_view name, Precision precision, bool tf32) {
  for (const Card& card : kCards) {
    if (!name.starts_with(card.name)) continue;
    const double found = peak(card, precision, tf32);
    return found > 0 ? std::optional(found * 1e12) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace lockstep

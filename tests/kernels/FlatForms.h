// Flat cases in a form's memory.
#pragma once

#include <gtest/gtest.h>

#include "tests/kernels/FlatCases.h"
#include "tests/kernels/Forms.h"

namespace lockstep::kernels {

/// Where storages begin; `others` that of every second one, so that they need not be aligned alike.
struct FlatPlacement {
  Placement first, others;
};

inline bool is_emulated(const Form& form) { return form.name().starts_with("emulated"); }

/// Calls `check(form, case, placement)` for all of them, and says which one is meant when a check fails.
template <typename Check>
void for_each_flat_case(const Check& check) {
  constexpr Placement kOff{.misaligned = 1};
  constexpr Placement kFar{.misaligned = 13};
  constexpr Placement kEnd{.at_end = true};
  for (const auto& form : forms()) {
    for (FlatCase flat : flat_cases()) {
      // Emulated, a block costs the same whatever it does.
      if (is_emulated(*form)) flat.lengths.resize(std::min<std::size_t>(flat.lengths.size(), 20));
      const bool small = storage_length(flat) < 10000;
      for (const FlatPlacement& placement : {FlatPlacement{}, {kOff, kOff}, {kEnd, kEnd}, {kFar, kFar}, {{}, kOff}}) {
        if (!small && placement.first.misaligned > 1) continue;
        SCOPED_TRACE(form->name() + ", " + flat.name + ", first " + std::to_string(placement.first.misaligned) +
                     ", others " + std::to_string(placement.others.misaligned) +
                     (placement.first.at_end ? ", at the end" : ""));
        check(*form, flat, placement);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

inline std::int32_t piece_length(const Form& form) { return form.is_cuda() ? kCudaPieceLength : kCpuPieceLength; }

}  // namespace lockstep::kernels

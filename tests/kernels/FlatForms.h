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

/// Whether a form is fast enough for a case: emulated, a block of little work costs as much as any.
inline bool is_bearable(const Form& form, const FlatCase& flat) {
  return !is_emulated(form) || (storage_length(flat) < 15000 && flat.lengths.size() < 100);
}

/// Calls `check(form, case, placement)` for all of them, and says which one is meant when a check fails.
template <typename Check>
void for_each_flat_case(const Check& check) {
  constexpr Placement kOff{.misaligned = 1};
  constexpr Placement kFar{.misaligned = 13};
  constexpr Placement kEnd{.at_end = true};
  for (const auto& form : forms()) {
    for (const FlatCase& flat : flat_cases()) {
      const std::int64_t length = storage_length(flat);
      if (!is_bearable(*form, flat)) continue;
      for (const FlatPlacement& placement : {FlatPlacement{}, {kOff, kOff}, {kEnd, kEnd}, {{}, kOff}, {kFar, kFar}}) {
        const bool aligned = placement.others.misaligned == 0 && !placement.others.at_end;
        const bool far = placement.first.misaligned > 1;
        if (is_emulated(*form) && (far || (!aligned && length > 5000))) continue;
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

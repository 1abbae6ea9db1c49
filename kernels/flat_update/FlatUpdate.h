// Updates of flat storage in which each element depends on itself alone: one pass, whatever the formula.
//
// A formula is a struct of plain numbers, a template over the type of an element, in a file of its own in formulas/:
//
//   template <typename Real>
//   struct Name {
//     using Number = Real;
//     using Options = …;                    // what holds for all segments and steps
//     static constexpr int kStates = n;     // storages of its own, from 0 to 3
//     static constexpr Name of(const Options&, const Segment&, const FlatStep&);  // for one segment in one step
//     constexpr void operator()(Real& p, Real g, Real&... states) const;           // of one element
//   };
//
// `of` runs once for each piece, so it may be slow; the step's gradient_scale is its to apply. CPU and CUDA forms
// compile the same formula, which is listed in Formulas.h.
#pragma once

#include "kernels/FlatWork.h"
#include "kernels/flat_step/FlatStep.h"

namespace lockstep::kernels {

inline constexpr int kMostFlatStates = 3;

/// Parameters and gradients have one layout; of states a piece says where its own begin.
template <typename Formula>
struct FlatUpdate {
  using Real = typename Formula::Number;

  Real* parameters;
  const Real* gradients;
  Real* states[kMostFlatStates];  ///< the first Formula::kStates of them
  FlatWork work;
  const FlatStep* step;
  typename Formula::Options options;
};

/// For the formulas in Formulas.h over float and double. Elements outside the work's pieces, and skipped segments, stay
/// as they are; so does everything when the step is skipped. Does not depend on the number of threads or blocks.
template <typename Formula>
void flat_update(const FlatUpdate<Formula>& args);
template <typename Formula>
void flat_update(const FlatUpdate<Formula>& args, Stream stream);

/// a + w (b - a), from the end that is nearer, so that it is b for w = 1: as PyTorch's lerp.
template <typename Real>
constexpr Real interpolate(Real a, Real b, Real w) {
  return w < Real(0.5) ? a + w * (b - a) : b - (b - a) * (1 - w);
}

}  // namespace lockstep::kernels

#include "kernels/flat_update/FlatUpdate.h"

#include "kernels/FlatLoop.h"
#include "kernels/flat_update/Formulas.h"

namespace lockstep::kernels {

namespace {

template <typename Formula, typename Real>
LOCKSTEP_INLINE void for_each_element(Real* __restrict p, const Real* __restrict g, Real* __restrict a,
                                      Real* __restrict b, Real* __restrict c, std::int64_t n, const Formula& f) {
  for (std::int64_t i = 0; i < n; ++i) {
    if constexpr (Formula::kStates == 0) f(p[i], g[i]);
    if constexpr (Formula::kStates == 1) f(p[i], g[i], a[i]);
    if constexpr (Formula::kStates == 2) f(p[i], g[i], a[i], b[i]);
    if constexpr (Formula::kStates == 3) f(p[i], g[i], a[i], b[i], c[i]);
  }
}

// Not a template: of those no clones are made.
#define LOCKSTEP_UPDATE(Formula, Real)                                                                 \
  LOCKSTEP_MULTIVERSION void update(Real* p, const Real* g, Real* a, Real* b, Real* c, std::int64_t n, \
                                    Formula<Real> f) {                                                 \
    for_each_element(p, g, a, b, c, n, f);                                                             \
  }
#define LOCKSTEP_UPDATES(Formula) LOCKSTEP_UPDATE(Formula, float) LOCKSTEP_UPDATE(Formula, double)
LOCKSTEP_FOR_EACH_FLAT_FORMULA(LOCKSTEP_UPDATES)
#undef LOCKSTEP_UPDATES
#undef LOCKSTEP_UPDATE

}  // namespace

template <typename Formula>
void flat_update(const FlatUpdate<Formula>& args) {
  if (args.step->skip) return;
  const auto state = [&](int i, const Piece& piece) {
    return i < Formula::kStates ? args.states[i] + piece.state : nullptr;
  };
  for_each_piece(args.work, [&](std::int64_t, const Piece& piece, const Segment& segment) {
    update(args.parameters + piece.begin, args.gradients + piece.begin, state(0, piece), state(1, piece),
           state(2, piece), piece.length, Formula::of(args.options, segment, *args.step));
  });
}

#define LOCKSTEP_INSTANTIATE(Formula)                           \
  template void flat_update(const FlatUpdate<Formula<float>>&); \
  template void flat_update(const FlatUpdate<Formula<double>>&);
LOCKSTEP_FOR_EACH_FLAT_FORMULA(LOCKSTEP_INSTANTIATE)
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep::kernels

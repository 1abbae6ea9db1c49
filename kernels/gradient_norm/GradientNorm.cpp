#include "kernels/gradient_norm/GradientNorm.h"

#include <cstring>

#include "kernels/FlatLoop.h"

namespace lockstep::kernels {

namespace {

// Independent sums, side by side in vector registers: the compiler may not reorder additions, so the source
// does.
constexpr std::int64_t kLanes = 8;
constexpr std::int64_t kVectors = 4;
template <typename Element>
using Lanes [[gnu::vector_size(kLanes * sizeof(Element))]] = Element;

template <typename Real>
[[gnu::always_inline]] inline GradientNorm sum(const Real* g, std::int64_t n) {
  Lanes<double> squares[kVectors] = {};
  Lanes<std::int64_t> non_finite[kVectors] = {};
  const auto add = [&](const Real* from) __attribute__((always_inline)) {
    for (int i = 0; i < kVectors; ++i) {
      Lanes<Real> raw;
      std::memcpy(&raw, from + i * kLanes, sizeof raw);
      const Lanes<double> value = __builtin_convertvector(raw, Lanes<double>);
      squares[i] += value * value;
      // value · 0 is 0 but for NaN and infinities; a comparison that holds is -1.
      non_finite[i] -= (value * 0.0) != 0.0;
    }
  };
  constexpr std::int64_t kBlock = kLanes * kVectors;
  const std::int64_t whole = n - n % kBlock;
  for (std::int64_t i = 0; i < whole; i += kBlock) add(g + i);
  Real rest[kBlock] = {};
  std::copy(g + whole, g + n, rest);
  add(rest);
  GradientNorm total;
  for (int i = 0; i < kVectors; ++i) {
    for (int lane = 0; lane < kLanes; ++lane) {
      total.sum_of_squares += squares[i][lane];
      total.non_finite += non_finite[i][lane];
    }
  }
  return total;
}

LOCKSTEP_MULTIVERSION GradientNorm piece_norm(const float* g, std::int64_t n) { return sum(g, n); }
LOCKSTEP_MULTIVERSION GradientNorm piece_norm(const double* g, std::int64_t n) { return sum(g, n); }

template <typename Real>
GradientNorm run(std::span<const Real> gradients, std::span<const Segment> segments) {
  const std::vector<Piece> pieces = pieces_of(segments);
  std::vector<GradientNorm> norms(pieces.size());
  for_each_piece(pieces, [&](std::size_t i, const Piece& piece) {
    norms[i] = piece_norm(gradients.data() + piece.begin, piece.length);
  });
  GradientNorm total;
  for (const GradientNorm& norm : norms) {
    total.sum_of_squares += norm.sum_of_squares;
    total.non_finite += norm.non_finite;
  }
  return total;
}

}  // namespace

GradientNorm gradient_norm(std::span<const float> gradients, std::span<const Segment> segments) {
  return run(gradients, segments);
}

GradientNorm gradient_norm(std::span<const double> gradients, std::span<const Segment> segments) {
  return run(gradients, segments);
}

}  // namespace lockstep::kernels

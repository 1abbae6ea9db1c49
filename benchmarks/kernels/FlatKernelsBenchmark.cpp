// Flat operators over the test's cases and over 10 and 25 million parameters in 60 tensors (ResNet-50 has 25), in bytes
// a second that the operator must move: each storage it reads and each it writes, once. The floor is `p += g`,
// which does nothing else.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

#include "benchmarks/kernels/Benchmarks.h"
#include "kernels/FlatLoop.h"
#include "kernels/adamw/AdamW.h"
#include "kernels/flat_copy/FlatCopy.h"
#include "kernels/gradient_norm/GradientNorm.h"
#include "kernels/lamb/Lamb.h"
#include "kernels/sgd/Sgd.h"
#include "tests/kernels/FlatCases.h"

namespace lockstep::kernels {
namespace {

template <typename Real>
struct Storages {
  explicit Storages(const FlatCase& flat)
      : length(static_cast<std::size_t>(storage_length(flat))),
        segments(segments_of(flat)),
        pieces(pieces_of(segments, kCpuPieceLength)),
        parameters(length, Real(1)),
        gradients(length, Real(1e-3)),
        first(length),
        second(length),
        narrow(length),
        norms(pieces.size()),
        lamb_pieces(pieces.size()) {
    for (const Segment& segment : segments) {
      tensors.push_back({gradients.data() + segment.offset, segment.offset, segment.length});
    }
  }
  FlatWork work() const { return {segments.data(), pieces.data(), static_cast<std::int64_t>(pieces.size())}; }

  std::size_t length;
  std::vector<Segment> segments;
  std::vector<Piece> pieces;
  std::vector<Real> parameters, gradients, first, second;
  std::vector<BFloat16> narrow;
  std::vector<GradientNorm> norms;
  std::vector<LambPiece> lamb_pieces;
  std::vector<FlatTensor<const Real>> tensors;
  GradientNorm norm;
  FlatStep step{.learning_rate = 1e-3};
  double scale = 0.5;
};

template <typename Real>
void add(Real* p, const Real* g, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) p[i] += g[i];
}

/// `moved`: bytes that `work` reads and writes for each element.
template <typename Real, typename Work>
void measure(const std::string& name, const FlatCase& flat, std::size_t moved, const Work& work) {
  const std::string type = sizeof(Real) == 4 ? "/float32/" : "/float64/";
  benchmark::RegisterBenchmark((name + type + flat.name).c_str(), [=](benchmark::State& state) {
    Storages<Real> storages(flat);
    std::int64_t elements = 0;
    for (const Segment& segment : storages.segments) elements += segment.skip ? 0 : segment.length;
    for ([[maybe_unused]] auto _ : state) {
      work(storages);
      benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * elements * static_cast<std::int64_t>(moved));
  })->UseRealTime();
}

template <typename Real>
void measure_all(const FlatCase& flat) {
  using S = Storages<Real>;
  constexpr std::size_t kSize = sizeof(Real);
  measure<Real>("floor", flat, 3 * kSize, [](S& s) {
    for_each_piece(s.work(), [&](std::int64_t, const Piece& piece, const Segment&) {
      add(s.parameters.data() + piece.begin, s.gradients.data() + piece.begin, piece.length);
    });
  });
  measure<Real>("sgd", flat, 3 * kSize, [](S& s) {
    sgd(SgdUpdate<Real>{s.parameters.data(), s.gradients.data(), nullptr, s.work(), &s.step});
  });
  measure<Real>("sgd_momentum", flat, 5 * kSize, [](S& s) {
    sgd(SgdUpdate<Real>{s.parameters.data(), s.gradients.data(), s.first.data(), s.work(), &s.step, 0.9});
  });
  measure<Real>("adamw", flat, 7 * kSize, [](S& s) {
    adamw(AdamWUpdate<Real>{
        s.parameters.data(), s.gradients.data(), s.first.data(), s.second.data(), s.work(), &s.step, {}});
  });
  measure<Real>("lamb", flat, 7 * kSize, [](S& s) {
    lamb(LambUpdate<Real>{s.parameters.data(),
                          s.gradients.data(),
                          s.first.data(),
                          s.second.data(),
                          s.work(),
                          s.lamb_pieces.data(),
                          &s.step,
                          {}});
  });
  measure<Real>("gradient_norm", flat, kSize, [](S& s) {
    gradient_norm(GradientNormPass<Real>{s.gradients.data(), s.work(), s.norms.data(), &s.norm});
  });
  measure<Real>("pack", flat, 2 * kSize, [](S& s) {
    pack(Pack<Real, Real>{s.tensors.data(), s.pieces.data(), s.work().piece_count, s.parameters.data(), &s.scale});
  });
  if constexpr (kSize == 4) {
    measure<Real>("pack_to_bfloat16", flat, 6, [](S& s) {
      pack(Pack<Real, BFloat16>{s.tensors.data(), s.pieces.data(), s.work().piece_count, s.narrow.data(), &s.scale});
    });
  }
}

}  // namespace

void register_flat_benchmarks() {
  std::vector<FlatCase> cases = flat_cases();
  for (const std::int64_t millions : {10, 25}) {
    cases.push_back({.name = std::to_string(millions) + " million",
                     .lengths = std::vector<std::int64_t>(60, millions * 1'000'000 / 60)});
  }
  for (const FlatCase& flat : cases) {
    measure_all<float>(flat);
    measure_all<double>(flat);
  }
}

}  // namespace lockstep::kernels

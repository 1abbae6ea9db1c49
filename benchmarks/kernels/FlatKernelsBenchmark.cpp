// Flat operators over the test's cases and over 10 and 25 million parameters in 60 tensors (ResNet-50 has 25), in bytes
// a second that the operator must move: each storage it reads and each it writes, once. The floor is `p += g`,
// which does nothing else.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "benchmarks/kernels/Benchmarks.h"
#include "kernels/FlatLoop.h"
#include "kernels/adamw/AdamW.h"
#include "kernels/gradient_norm/GradientNorm.h"
#include "kernels/sgd/Sgd.h"
#include "tests/kernels/FlatCases.h"

namespace lockstep::kernels {
namespace {

template <typename Real>
struct Storages {
  explicit Storages(const FlatCase& flat)
      : length(static_cast<std::size_t>(storage_length(flat))),
        segments(segments_of(flat)),
        parameters(length, Real(1)),
        gradients(length, Real(1e-3)),
        first(length),
        second(length) {}
  std::size_t length;
  std::vector<Segment> segments;
  std::vector<Real> parameters, gradients, first, second;
};

template <typename Real>
void add(Real* p, const Real* g, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) p[i] += g[i];
}

/// `storages_moved`: how many storages `work` reads plus how many it writes.
template <typename Real, typename Work>
void measure(const std::string& name, const FlatCase& flat, int storages_moved, const Work& work) {
  const std::string type = sizeof(Real) == 4 ? "/float32/" : "/float64/";
  benchmark::RegisterBenchmark((name + type + flat.name).c_str(), [=](benchmark::State& state) {
    Storages<Real> storages(flat);
    std::int64_t elements = 0;
    for (const Segment& segment : storages.segments) elements += segment.skip ? 0 : segment.length;
    for ([[maybe_unused]] auto _ : state) {
      work(storages);
      benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * elements * storages_moved * static_cast<std::int64_t>(sizeof(Real)));
  })->UseRealTime();
}

template <typename Real>
void measure_all(const FlatCase& flat) {
  measure<Real>("floor", flat, 3, [](Storages<Real>& s) {
    for_each_piece(pieces_of(s.segments), [&](std::size_t, const Piece& piece) {
      add(s.parameters.data() + piece.begin, s.gradients.data() + piece.begin, piece.length);
    });
  });
  measure<Real>("sgd", flat, 3, [](Storages<Real>& s) {
    sgd(std::span(s.parameters), std::span<const Real>(s.gradients), std::span<Real>(), s.segments,
        {.learning_rate = 1e-3});
  });
  measure<Real>("sgd_momentum", flat, 5, [](Storages<Real>& s) {
    sgd(std::span(s.parameters), std::span<const Real>(s.gradients), std::span(s.first), s.segments,
        {.learning_rate = 1e-3, .momentum = 0.9});
  });
  measure<Real>("adamw", flat, 7, [](Storages<Real>& s) {
    adamw(std::span(s.parameters), std::span<const Real>(s.gradients), std::span(s.first), std::span(s.second),
          s.segments, {.learning_rate = 1e-3});
  });
  measure<Real>("gradient_norm", flat, 1, [](Storages<Real>& s) {
    benchmark::DoNotOptimize(gradient_norm(std::span<const Real>(s.gradients), s.segments));
  });
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

// Flat operators over the test's cases and over millions of parameters in 60 tensors (ResNet-50 has 25 million), in
// bytes a second that the operator must move: each storage it reads and each it writes, once. The floor, on a CPU, is
// `p += g`, which does nothing else.
#include "benchmarks/kernels/Benchmarks.h"
#include "kernels/FlatLoop.h"
#include "kernels/adamw/AdamW.h"
#include "kernels/flat_update/Formulas.h"
#include "kernels/gradient_norm/GradientNorm.h"
#include "kernels/lamb/Lamb.h"
#include "kernels/sgd/Sgd.h"
#include "tests/kernels/FlatCases.h"

namespace lockstep::kernels {
namespace {

template <typename Real>
struct Storages {
  Storages(const Cases& cases, const FlatCase& flat)
      : length(static_cast<std::size_t>(storage_length(flat))),
        segment_list(segments_of(flat)),
        piece_list(pieces_of(segment_list, cases.on_gpu() ? kCudaPieceLength : kCpuPieceLength)),
        segments(cases.buffer(segment_list)),
        pieces(cases.buffer(piece_list)),
        parameters(cases.filled(length, Real(1))),
        gradients(cases.filled(length, Real(1e-3))),
        first(cases.filled(length, Real(0))),
        second(cases.filled(length, Real(0))),
        norms(cases.buffer<GradientNorm>(piece_list.size())),
        lamb_pieces(cases.buffer<LambPiece>(piece_list.size())),
        lamb_segments(cases.buffer<LambSegment>(segment_list.size())),
        norm(cases.buffer<GradientNorm>(1)),
        step(cases.filled(1, FlatStep{.learning_rate = 1e-3})) {}
  FlatWork work() const { return {segments.data(), pieces.data(), static_cast<std::int64_t>(piece_list.size())}; }

  std::size_t length;
  std::vector<Segment> segment_list;
  std::vector<Piece> piece_list;
  Buffer<Segment> segments;
  Buffer<Piece> pieces;
  Buffer<Real> parameters, gradients, first, second;
  Buffer<GradientNorm> norms;
  Buffer<LambPiece> lamb_pieces;
  Buffer<LambSegment> lamb_segments;
  Buffer<GradientNorm> norm;
  Buffer<FlatStep> step;
};

template <typename Real>
void add(Real* p, const Real* g, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) p[i] += g[i];
}

/// `moved`: bytes that `call` reads and writes for each element.
template <typename Real, typename Call>
void add_case(Cases& cases, const std::string& name, const FlatCase& flat, std::size_t moved, const Call& call) {
  std::int64_t elements = 0;
  for (const Segment& segment : segments_of(flat)) elements += segment.skip ? 0 : segment.length;
  cases.add(name + "/" + element_name<Real>() + "/" + flat.name, elements * static_cast<std::int64_t>(moved),
            [=, &cases]() -> Run {
              return [call, &cases, storages = Storages<Real>(cases, flat)] { call(cases, storages); };
            });
}

/// A formula of flat_update with at most two states.
template <template <typename> typename Formula, typename Real>
void add_formula(Cases& cases, const std::string& name, const FlatCase& flat) {
  using F = Formula<Real>;
  add_case<Real>(cases, name, flat, (3 + 2 * F::kStates) * sizeof(Real), [](const Cases& on, const Storages<Real>& s) {
    on.call([](auto... args) { flat_update(args...); }, FlatUpdate<F>{.parameters = s.parameters.data(),
                                                                      .gradients = s.gradients.data(),
                                                                      .states = {s.first.data(), s.second.data()},
                                                                      .work = s.work(),
                                                                      .step = s.step.data(),
                                                                      .options = {}});
  });
}

template <typename Real>
void add_cases(Cases& cases, const FlatCase& flat) {
  using S = Storages<Real>;
  constexpr std::size_t kSize = sizeof(Real);
  constexpr auto kSgd = [](auto... args) { sgd(args...); };
  if (!cases.on_gpu()) {
    add_case<Real>(cases, "floor", flat, 3 * kSize, [](const Cases&, const S& s) {
      for_each_piece(s.work(), [&](std::int64_t, const Piece& piece, const Segment&) {
        add(s.parameters.data() + piece.begin, s.gradients.data() + piece.begin, piece.length);
      });
    });
  }
  add_case<Real>(cases, "sgd", flat, 3 * kSize, [=](const Cases& on, const S& s) {
    on.call(kSgd, SgdUpdate<Real>{s.parameters.data(), s.gradients.data(), nullptr, s.work(), s.step.data()});
  });
  add_case<Real>(cases, "sgd_momentum", flat, 5 * kSize, [=](const Cases& on, const S& s) {
    on.call(kSgd,
            SgdUpdate<Real>{s.parameters.data(), s.gradients.data(), s.first.data(), s.work(), s.step.data(), 0.9});
  });
  add_case<Real>(cases, "adamw", flat, 7 * kSize, [](const Cases& on, const S& s) {
    on.call([](auto... args) { adamw(args...); },
            AdamWUpdate<Real>{
                s.parameters.data(), s.gradients.data(), s.first.data(), s.second.data(), s.work(), s.step.data(), {}});
  });
  add_case<Real>(cases, "lamb", flat, 7 * kSize, [](const Cases& on, const S& s) {
    on.call([](auto... args) { lamb(args...); }, LambUpdate<Real>{s.parameters.data(),
                                                                  s.gradients.data(),
                                                                  s.first.data(),
                                                                  s.second.data(),
                                                                  s.work(),
                                                                  s.lamb_pieces.data(),
                                                                  s.lamb_segments.data(),
                                                                  static_cast<std::int64_t>(s.segment_list.size()),
                                                                  s.step.data(),
                                                                  {}});
  });
  add_formula<Adam, Real>(cases, "adam", flat);
  add_formula<MomentumRmsProp, Real>(cases, "rmsprop_momentum", flat);
  add_formula<Adagrad, Real>(cases, "adagrad", flat);
  add_formula<Lion, Real>(cases, "lion", flat);
  add_formula<Average, Real>(cases, "average", flat);
  add_case<Real>(cases, "gradient_norm", flat, kSize, [](const Cases& on, const S& s) {
    on.call([](auto... args) { gradient_norm(args...); },
            GradientNormPass<Real>{s.gradients.data(), s.work(), s.norms.data(), s.norm.data()});
  });
}

}  // namespace

void add_flat_kernels(Cases& cases) {
  std::vector<FlatCase> flats;
  if (!cases.on_gpu()) flats = flat_cases();
  for (const std::int64_t millions : {cases.pick(10, 25), cases.pick(25, 100)}) {
    flats.push_back({.name = std::to_string(millions) + " million",
                     .lengths = std::vector<std::int64_t>(60, millions * 1'000'000 / 60)});
  }
  for (const FlatCase& flat : flats) {
    add_cases<float>(cases, flat);
    if (!cases.on_gpu()) add_cases<double>(cases, flat);
  }
}

}  // namespace lockstep::kernels

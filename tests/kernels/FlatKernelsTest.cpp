#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

#include "kernels/adamw/AdamW.h"
#include "kernels/gradient_norm/GradientNorm.h"
#include "kernels/lamb/Lamb.h"
#include "kernels/sgd/Sgd.h"
#include "tests/kernels/FlatForms.h"

namespace lockstep::kernels {
namespace {

using Reals = testing::Types<float, double>;

constexpr AdamOptions kAdam{.beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-7};
constexpr FlatStep kStep{.learning_rate = 0.01, .gradient_scale = 0.5};

/// Calls `update(index into the storages, segment)` for each element that an operator may change: the plainest loop.
template <typename Update>
void for_each_element(const FlatCase& flat, const Update& update) {
  for (const Segment& segment : segments_of(flat)) {
    if (segment.skip) continue;
    for (std::int64_t i = 0; i < segment.length; ++i) update(static_cast<std::size_t>(segment.offset + i), segment);
  }
}

/// Storages of one layout, as an optimizer sees them. Gradients that nobody may read are not numbers.
template <typename Real>
struct Storages {
  explicit Storages(const FlatCase& flat)
      : parameters(normal_elements<Real>(static_cast<std::size_t>(storage_length(flat)), 1)),
        gradients(parameters.size(), std::numeric_limits<Real>::quiet_NaN()),
        first(normal_elements<Real>(parameters.size(), 3)),
        second(normal_elements<Real>(parameters.size(), 4)) {
    const auto values = normal_elements<Real>(parameters.size(), 2);
    for_each_element(flat, [&](std::size_t i, const Segment&) { gradients[i] = values[i]; });
    for (Real& value : second) value = std::abs(value);
  }
  std::vector<Real> parameters, gradients, first, second;
};

/// Storages and tables in a form's memory. The tables lie at one side of memory that cannot be touched, storages at the
/// other: both are at each in some case.
template <typename Real>
struct Buffers {
  Buffers(const Form& form, const Storages<Real>& values, const std::vector<Segment>& table,
          const FlatPlacement& placement, const FlatStep& flat_step)
      : Buffers(form, values, table, placement, flat_step, pieces_of(table, piece_length(form))) {}
  Buffers(const Form& form, const Storages<Real>& values, const std::vector<Segment>& table,
          const FlatPlacement& placement, const FlatStep& flat_step, const std::vector<Piece>& piece_list)
      : form(form),
        parameters(form, values.parameters, placement.first),
        gradients(form, values.gradients, placement.others),
        first(form, values.first, placement.first),
        second(form, values.second, placement.others),
        segments(form, table, tables(placement)),
        pieces(form, piece_list, tables(placement)),
        norms(form, pieces.values().size(), tables(placement)),
        lamb_pieces(form, pieces.values().size(), tables(placement)),
        lamb_segments(form, table.size(), tables(placement)),
        norm(form, 1, {.at_end = true}),
        step(form, {flat_step}, {.at_end = true}) {}

  static Placement tables(const FlatPlacement& placement) { return {.at_end = !placement.first.at_end}; }
  FlatWork work() const { return {segments.data(), pieces.data(), static_cast<std::int64_t>(pieces.values().size())}; }
  void advance() const {
    run(
        form, [](auto&&... args) { advance_steps(args...); },
        StepAdvance{segments.data(), static_cast<std::int64_t>(segments.values().size()), step.data()});
  }
  void update_sgd(double momentum, bool nesterov) const {
    run(
        form, [](auto&&... args) { sgd(args...); },
        SgdUpdate<Real>{parameters.data(), gradients.data(), momentum == 0 ? nullptr : first.data(), work(),
                        step.data(), momentum, nesterov});
  }
  void update_adamw(const AdamOptions& options) const {
    run(
        form, [](auto&&... args) { adamw(args...); },
        AdamWUpdate<Real>{parameters.data(), gradients.data(), first.data(), second.data(), work(), step.data(),
                          options});
  }
  void update_lamb(const AdamOptions& options) const {
    run(
        form, [](auto&&... args) { lamb(args...); },
        LambUpdate<Real>{parameters.data(), gradients.data(), first.data(), second.data(), work(), lamb_pieces.data(),
                         lamb_segments.data(), static_cast<std::int64_t>(segments.values().size()), step.data(),
                         options});
  }
  GradientNorm find_norm() const {
    run(
        form, [](auto&&... args) { gradient_norm(args...); },
        GradientNormPass<Real>{gradients.data(), work(), norms.data(), norm.data()});
    return norm.values()[0];
  }

  const Form& form;
  Buffer<Real> parameters, gradients, first, second;
  Buffer<Segment> segments;
  Buffer<Piece> pieces;
  Buffer<GradientNorm> norms;
  Buffer<LambPiece> lamb_pieces;
  Buffer<LambSegment> lamb_segments;
  Buffer<GradientNorm> norm;
  Buffer<FlatStep> step;
};

/// Expects `now` to be near `expected`, and equal to `before` where no operator has anything to change.
template <typename Real>
void expect_result(const FlatCase& flat, const std::vector<Real>& before, const Buffer<Real>& buffer,
                   const std::vector<double>& expected) {
  std::vector<Real> now = buffer.values();
  EXPECT_LE(relative_error(now, expected), sizeof(Real) == 4 ? 1e-6 : 1e-14);
  for_each_element(flat, [&](std::size_t i, const Segment&) { now[i] = before[i]; });
  EXPECT_EQ(now, before);
}

constexpr FlatRange kRanges[] = {{.begin = 64, .length = 3008, .state = 0},
                                 {.begin = 5056, .length = 160, .state = 3008},
                                 {.begin = 5280, .length = 64, .state = 3168}};

template <typename Real>
std::vector<Real> in_ranges(const std::vector<Real>& flat) {
  std::vector<Real> values;
  for (const FlatRange& range : kRanges) {
    values.insert(values.end(), flat.begin() + range.begin, flat.begin() + range.begin + range.length);
  }
  return values;
}

template <typename Real>
class FlatKernels : public testing::Test {};
TYPED_TEST_SUITE(FlatKernels, Reals);

TYPED_TEST(FlatKernels, SgdMatchesItsFormula) {
  using Real = TypeParam;
  for_each_flat_case([](const Form& form, const FlatCase& flat, const FlatPlacement& placement) {
    const Storages<Real> before(flat);
    const auto g = to_doubles(before.gradients);
    for (const auto& [momentum, nesterov] : {std::pair(0.0, false), std::pair(0.9, false), std::pair(0.9, true)}) {
      auto p = to_doubles(before.parameters);
      auto m = to_doubles(before.first);
      for_each_element(flat, [&](std::size_t i, const Segment& segment) {
        const double lr = 0.01 * segment.learning_rate_factor;
        const double gradient = 0.5 * g[i] + segment.weight_decay * p[i];
        if (momentum != 0) m[i] = momentum * m[i] + gradient;
        p[i] -= lr * (momentum == 0 ? gradient : nesterov ? gradient + momentum * m[i] : m[i]);
      });
      const Buffers<Real> buffers(form, before, segments_of(flat), placement, kStep);
      buffers.update_sgd(momentum, nesterov);
      expect_result(flat, before.parameters, buffers.parameters, p);
      expect_result(flat, before.first, buffers.first, m);
    }
  });
}

/// The moments of AdamW and LAMB after a step, and the direction without decay.
struct Moments {
  template <typename Real>
  Moments(const FlatCase& flat, const Storages<Real>& before)
      : first(to_doubles(before.first)), second(to_doubles(before.second)), direction(first.size()) {
    for_each_element(flat, [&](std::size_t i, const Segment& segment) {
      const double gradient = 0.5 * before.gradients[i];
      first[i] = 0.8 * first[i] + 0.2 * gradient;
      second[i] = 0.95 * second[i] + 0.05 * gradient * gradient;
      const double root = std::sqrt(second[i] / (1 - std::pow(0.95, segment.step)));
      direction[i] = first[i] / (1 - std::pow(0.8, segment.step)) / (root + 1e-7);
    });
  }
  std::vector<double> first, second, direction;
};

TYPED_TEST(FlatKernels, AdamWMatchesItsFormula) {
  using Real = TypeParam;
  for_each_flat_case([](const Form& form, const FlatCase& flat, const FlatPlacement& placement) {
    const Storages<Real> before(flat);
    const Moments moments(flat, before);
    auto p = to_doubles(before.parameters);
    for_each_element(flat, [&](std::size_t i, const Segment& segment) {
      const double lr = 0.01 * segment.learning_rate_factor;
      p[i] = p[i] * (1 - lr * segment.weight_decay) - lr * moments.direction[i];
    });
    const Buffers<Real> buffers(form, before, segments_of(flat), placement, kStep);
    buffers.update_adamw(kAdam);
    expect_result(flat, before.parameters, buffers.parameters, p);
    expect_result(flat, before.first, buffers.first, moments.first);
    expect_result(flat, before.second, buffers.second, moments.second);
  });
}

TYPED_TEST(FlatKernels, LambMatchesItsFormula) {
  using Real = TypeParam;
  for_each_flat_case([](const Form& form, const FlatCase& flat, const FlatPlacement& placement) {
    const Storages<Real> before(flat);
    const Moments moments(flat, before);
    auto p = to_doubles(before.parameters);
    std::map<std::int64_t, std::pair<double, double>> squares;  // by a segment's offset
    const auto update = [&](std::size_t i, const Segment& segment) {
      return moments.direction[i] + segment.weight_decay * p[i];
    };
    for_each_element(flat, [&](std::size_t i, const Segment& segment) {
      squares[segment.offset].first += p[i] * p[i];
      squares[segment.offset].second += update(i, segment) * update(i, segment);
    });
    for_each_element(flat, [&](std::size_t i, const Segment& segment) {
      const auto& [parameters, updates] = squares[segment.offset];
      p[i] -= 0.01 * segment.learning_rate_factor * std::sqrt(parameters / updates) * update(i, segment);
    });
    const Buffers<Real> buffers(form, before, segments_of(flat), placement, kStep);
    buffers.update_lamb(kAdam);
    expect_result(flat, before.parameters, buffers.parameters, p);
    expect_result(flat, before.first, buffers.first, moments.first);
    expect_result(flat, before.second, buffers.second, moments.second);
  });
}

TYPED_TEST(FlatKernels, GradientNormMatchesItsFormula) {
  using Real = TypeParam;
  for_each_flat_case([](const Form& form, const FlatCase& flat, const FlatPlacement& placement) {
    const Storages<Real> storages(flat);
    double expected = 0;
    for_each_element(flat, [&](std::size_t i, const Segment&) {
      expected += static_cast<double>(storages.gradients[i]) * static_cast<double>(storages.gradients[i]);
    });
    const Buffers<Real> buffers(form, storages, segments_of(flat), {placement.others, placement.first}, kStep);
    const GradientNorm norm = buffers.find_norm();
    EXPECT_NEAR(norm.sum_of_squares, expected, 1e-12 * expected);
    EXPECT_EQ(norm.non_finite, 0);
  });
}

TYPED_TEST(FlatKernels, GradientNormCountsWhatIsNotFinite) {
  using Real = TypeParam;
  constexpr Real kNan = std::numeric_limits<Real>::quiet_NaN();
  constexpr Real kInfinity = std::numeric_limits<Real>::infinity();
  for (const auto& form : forms()) {
    const FlatCase flat{.name = "", .lengths = {4500, 39}, .gap = 1};
    Storages<Real> storages(flat);
    for (const auto& [at, value] : {std::pair(1, kNan), std::pair(2, kInfinity), std::pair(4097, -kInfinity),
                                    std::pair(4500, kNan), std::pair(4502, -kNan), std::pair(4540, kInfinity)}) {
      storages.gradients[static_cast<std::size_t>(at)] = value;
    }
    const GradientNorm six = Buffers<Real>(*form, storages, segments_of(flat), {}, kStep).find_norm();
    EXPECT_EQ(six.non_finite, 6) << form->name();
    EXPECT_EQ(six.segment, 0) << form->name();
    for (const std::size_t at : {1, 2, 4097, 4500}) storages.gradients[at] = 1;
    const GradientNorm two = Buffers<Real>(*form, storages, segments_of(flat), {}, kStep).find_norm();
    EXPECT_EQ(two.non_finite, 2) << form->name();
    EXPECT_EQ(two.segment, 1) << form->name();
    constexpr Real kHuge = sizeof(Real) == 4 ? 1e30 : 1e150;  // its squares overflow float32, not the sum
    storages.gradients.assign(storages.gradients.size(), kHuge);
    const GradientNorm norm = Buffers<Real>(*form, storages, segments_of(flat), {}, kStep).find_norm();
    EXPECT_EQ(norm.non_finite, 0);
    EXPECT_EQ(norm.segment, -1);
    EXPECT_NEAR(norm.sum_of_squares / kHuge / kHuge, 4539, 1e-2);
  }
}

// More than a block that sums over them has threads: of length 3, which is what the emulator can bear.
TYPED_TEST(FlatKernels, ManyPieces) {
  using Real = TypeParam;
  for (const auto& form : forms()) {
    const FlatCase flat{.name = "", .lengths = {2, 772, 5}, .gap = 1};
    const Storages<Real> storages(flat);
    const Buffers<Real> few(*form, storages, segments_of(flat), {}, kStep);
    const Buffers<Real> many(*form, storages, segments_of(flat), {}, kStep, pieces_of(segments_of(flat), 3));
    const double expected = few.find_norm().sum_of_squares;
    EXPECT_NEAR(many.find_norm().sum_of_squares, expected, 1e-12 * expected) << form->name();
    few.update_lamb(kAdam);
    many.update_lamb(kAdam);
    expect_result(flat, storages.parameters, many.parameters, to_doubles(few.parameters.values()));
  }
}

// As where ranks share out parameters.
TYPED_TEST(FlatKernels, OfRangesAloneThereIsState) {
  using Real = TypeParam;
  const FlatCase flat{.name = "", .lengths = {5000, 39, 70}, .gap = 64};
  for (const auto& form : forms()) {
    const Storages<Real> before(flat);
    const Buffers<Real> whole(*form, before, segments_of(flat), {}, kStep);
    Storages<Real> parts = before;
    parts.first = in_ranges(before.first);
    parts.second = in_ranges(before.second);
    const Buffers<Real> ranges(*form, parts, segments_of(flat), {}, kStep,
                               pieces_of(segments_of(flat), piece_length(*form), kRanges));
    double squares = 0;
    for (const Real value : in_ranges(before.gradients)) squares += std::isnan(value) ? 0 : double{value} * value;
    EXPECT_NEAR(ranges.find_norm().sum_of_squares, squares, 1e-12 * squares) << form->name();
    for (const Buffers<Real>* buffers : {&whole, &ranges}) {
      buffers->update_sgd(0.9, true);
      buffers->update_adamw(kAdam);
    }
    const double tolerance = sizeof(Real) == 4 ? 1e-6 : 1e-14;
    std::vector<Real> found = ranges.parameters.values();
    EXPECT_LE(relative_error(in_ranges(found), to_doubles(in_ranges(whole.parameters.values()))), tolerance);
    EXPECT_LE(relative_error(ranges.first.values(), to_doubles(in_ranges(whole.first.values()))), tolerance);
    EXPECT_LE(relative_error(ranges.second.values(), to_doubles(in_ranges(whole.second.values()))), tolerance);
    for (const FlatRange& range : kRanges) {
      std::copy_n(before.parameters.begin() + range.begin, range.length, found.begin() + range.begin);
    }
    EXPECT_EQ(found, before.parameters) << form->name() << ": outside the ranges";
  }
}

TEST(Pieces, AreOfWhatLiesInTheRanges) {
  const std::vector<Segment> segments = {{.offset = 0, .length = 10}, {.offset = 16, .length = 3}};
  constexpr FlatRange kTwo[] = {{.begin = 2, .length = 5, .state = 0}, {.begin = 8, .length = 10, .state = 5}};
  std::vector<std::vector<std::int64_t>> found;
  for (const Piece& piece : pieces_of(segments, 4, kTwo)) {
    found.push_back({piece.begin, piece.length, piece.segment, piece.state});
  }
  EXPECT_EQ(found, (std::vector<std::vector<std::int64_t>>{{2, 4, 0, 0}, {6, 1, 0, 4}, {8, 2, 0, 5}, {16, 2, 1, 13}}));
}

TEST(SumNorms, FindsTheFirstSegmentOfAll) {
  for (const auto& form : forms()) {
    const auto sum = [&](const std::vector<GradientNorm>& parts) {
      const Buffer<GradientNorm> list(*form, parts, {.at_end = true});
      const Buffer<GradientNorm> norm(*form, {{.sum_of_squares = 7, .non_finite = 7, .segment = 7}}, {.at_end = true});
      run(
          *form, [](auto&&... args) { sum_norms(args...); },
          NormSum{list.data(), static_cast<std::int64_t>(parts.size()), norm.data()});
      return norm.values()[0];
    };
    const GradientNorm finite = sum({{.sum_of_squares = 1}, {.sum_of_squares = 2.5}});
    EXPECT_EQ(finite.sum_of_squares, 3.5) << form->name();
    EXPECT_EQ(finite.non_finite, 0) << form->name();
    EXPECT_EQ(finite.segment, -1) << form->name();
    const GradientNorm wrong = sum({{.sum_of_squares = 1},
                                    {.sum_of_squares = NAN, .non_finite = 2, .segment = 9},
                                    {.sum_of_squares = INFINITY, .non_finite = 1, .segment = 4}});
    EXPECT_FALSE(std::isfinite(wrong.sum_of_squares)) << form->name();
    EXPECT_EQ(wrong.non_finite, 3) << form->name();
    EXPECT_EQ(wrong.segment, 4) << form->name();
  }
}

TYPED_TEST(FlatKernels, ASkippedStepChangesNothing) {
  using Real = TypeParam;
  for (const auto& form : forms()) {
    const FlatCase flat{.name = "", .lengths = {5000, 3}, .gap = 1};
    const Storages<Real> before(flat);
    const Buffers<Real> buffers(*form, before, segments_of(flat), {}, {.learning_rate = 1, .skip = true});
    buffers.advance();
    buffers.update_sgd(0, false);
    buffers.update_sgd(0.9, true);
    buffers.update_adamw(kAdam);
    buffers.update_lamb(kAdam);
    EXPECT_EQ(buffers.parameters.values(), before.parameters) << form->name();
    EXPECT_EQ(buffers.first.values(), before.first) << form->name();
    EXPECT_EQ(buffers.second.values(), before.second) << form->name();
    for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(buffers.segments.values()[i].step, segments_of(flat)[i].step);
  }
}

TEST(AdvanceSteps, CountsWhatIsNotSkipped) {
  for (const auto& form : forms()) {
    for (const std::size_t count : {0, 1, 130}) {
      const FlatCase flat{.name = "", .lengths = std::vector<std::int64_t>(count, 1), .skips = true};
      const Buffers<float> buffers(*form, Storages<float>(flat), segments_of(flat), {}, kStep);
      buffers.advance();
      buffers.advance();
      const std::vector<Segment> before = segments_of(flat);
      const std::vector<Segment> after = buffers.segments.values();
      for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(after[i].step, before[i].step + (before[i].skip ? 0 : 2)) << i;
    }
  }
}

TEST(ClipGradients, SetsScaleAndSkip) {
  const double quarter = 0.25;
  struct Expectation {
    GradientNorm norm;
    const double* unscale;
    double clip_norm;
    double scale;
    bool skip;
    std::optional<StepWeight> weight = std::nullopt;
  };
  const double inf = INFINITY;
  for (const Expectation& expected : std::initializer_list<Expectation>{
           {{.sum_of_squares = 100}, nullptr, 2, 2 / (10 + 1e-6), false},
           {{.sum_of_squares = 1}, nullptr, 2, 1, false},
           {{.sum_of_squares = 0}, nullptr, 2, 1, false},
           {{.sum_of_squares = 100}, nullptr, 0, 1, false},
           {{.sum_of_squares = 100}, &quarter, 0, 0.25, false},
           {{.sum_of_squares = 100}, &quarter, 2, 0.25 * (2 / (2.5 + 1e-6)), false},
           {{.sum_of_squares = 36}, &quarter, 2, 0.25, false},
           {{.sum_of_squares = INFINITY, .non_finite = 1}, &quarter, 0, 0.25, true},
           // Squares of finite numbers: the norm is nothing to clip by, and nobody else needs it.
           {{.sum_of_squares = INFINITY}, nullptr, 2, 0, true},
           {{.sum_of_squares = INFINITY}, nullptr, 0, 1, false},
           // Nothing is missing, whatever the sum was rounded to.
           {{.sum_of_squares = 100}, &quarter, 0, 0.25, false, {{1 + 1e-7, 0}}},
           {{.sum_of_squares = 100}, nullptr, 0, 1.25, false, {{0.8, 0.2}}},
           {{.sum_of_squares = 100}, nullptr, 0, 0.5, false, {{2, -1}}},
           // The norm is that of the corrected gradient: 10 · 0.25 / 0.5.
           {{.sum_of_squares = 100}, &quarter, 2, 0.5 * (2 / (5 + 1e-6)), false, {{0.5, 0.5}}},
           {{.sum_of_squares = 0}, nullptr, 0, inf, true, {{0, 1}}},
           {{.sum_of_squares = 1}, nullptr, 0, -1, true, {{-1, 2}}}}) {
    for (const auto& form : forms()) {
      const Buffer<GradientNorm> norm(*form, {expected.norm}, {.at_end = true});
      const Buffer<double> unscale(*form, std::vector{quarter}, {.at_end = true});
      const Buffer<StepWeight> weight(*form, {expected.weight.value_or(StepWeight())}, {.at_end = true});
      const Buffer<FlatStep> step(*form, {{.learning_rate = 3, .gradient_scale = 7, .skip = !expected.skip}},
                                  {.at_end = true});
      run(
          *form, [](auto&&... args) { clip_gradients(args...); },
          GradientClip{norm.data(), expected.unscale == nullptr ? nullptr : unscale.data(),
                       expected.weight ? weight.data() : nullptr, expected.clip_norm, step.data()});
      const FlatStep found = step.values()[0];
      EXPECT_DOUBLE_EQ(found.gradient_scale, expected.scale) << form->name();
      EXPECT_EQ(found.skip, expected.skip) << form->name();
      EXPECT_EQ(found.learning_rate, 3) << form->name();
    }
  }
}

// Whatever the gradients are.
TEST(ClipGradients, SkipsWhatItsLossOrItsRidersRefuse) {
  const double inf = INFINITY;
  for (const auto& [loss, wrong, skip] : std::initializer_list<std::tuple<double, double, bool>>{
           {1, 0, false}, {0, 0, false}, {NAN, 0, true}, {inf, 0, true}, {-inf, 0, true}, {1, 2, true}}) {
    for (const auto& form : forms()) {
      const Buffer<GradientNorm> norm(*form, {{.sum_of_squares = 1}}, {.at_end = true});
      const Buffer<double> riders(*form, {loss, wrong}, {.at_end = true});
      const Buffer<FlatStep> step(*form, {{.skip = !skip}}, {.at_end = true});
      run(
          *form, [](auto&&... args) { clip_gradients(args...); },
          GradientClip{norm.data(), nullptr, nullptr, 0, step.data(), riders.data(), riders.data() + 1});
      EXPECT_EQ(step.values()[0].skip, skip) << form->name() << " " << loss << " " << wrong;
    }
  }
}

TYPED_TEST(FlatKernels, LambsRatioIsOneWhereANormIsZero) {
  using Real = TypeParam;
  for (const auto& form : forms()) {
    const std::vector<Segment> segments = {{.offset = 0, .length = 2}, {.offset = 2, .length = 2}};
    Storages<Real> storages({.name = "", .lengths = {4}});
    storages.parameters = {0, 0, 5, 7};
    storages.gradients = {2, -2, 0, 0};  // the first step's direction is the sign
    storages.first = storages.second = {0, 0, 0, 0};
    const Buffers<Real> buffers(*form, storages, segments, {}, {.learning_rate = 0.5});
    buffers.update_lamb({.epsilon = 0.25});  // or 0 / 0
    const auto p = to_doubles(buffers.parameters.values());
    EXPECT_NEAR(p[0], -0.5 * 2 / 2.25, 1e-6) << form->name();
    EXPECT_NEAR(p[1], 0.5 * 2 / 2.25, 1e-6) << form->name();
    EXPECT_EQ(p[2], 5) << form->name();
    EXPECT_EQ(p[3], 7) << form->name();
  }
}

/// Every bit that the operators write for a case.
template <typename Real>
struct Results {
  Results(const Form& form, const FlatCase& flat) {
    const Storages<Real> storages(flat);
    const FlatStep step{.learning_rate = 0.1, .gradient_scale = 0.3};
    const auto buffers = [&] { return Buffers<Real>(form, storages, segments_of(flat), {}, step); };
    const auto keep = [&](const Buffers<Real>& now) {
      for (const auto* buffer : {&now.parameters, &now.first, &now.second}) bits.push_back(buffer->values());
    };
    const auto sgd = buffers();
    sgd.update_sgd(0.9, true);
    keep(sgd);
    const auto adamw = buffers();
    adamw.update_adamw({});
    keep(adamw);
    const auto lamb = buffers();
    lamb.update_lamb({});
    keep(lamb);
    sum_of_squares = sgd.find_norm().sum_of_squares;
  }
  bool operator==(const Results&) const = default;
  std::vector<std::vector<Real>> bits;
  double sum_of_squares;
};

TYPED_TEST(FlatKernels, ResultsDoNotDependOnThreadsOrTheirOrder) {
  const int threads_before = omp_get_max_threads();
  for (const FlatCase& flat : flat_cases()) {
    for (const bool cuda : {false, true}) {
      if (cuda && storage_length(flat) < 4000) continue;  // a block
      std::vector<Results<TypeParam>> results;
      for (const auto& form : forms()) {
        if (form->is_cuda() != cuda || !is_bearable(*form, flat)) continue;
        for (const int threads : cuda ? std::vector{1} : std::vector{1, 2, 3, 5}) {
          omp_set_num_threads(threads);
          results.emplace_back(*form, flat);
          EXPECT_EQ(results.back(), results.front()) << flat.name << ", " << form->name() << ", " << threads;
        }
      }
    }
  }
  omp_set_num_threads(threads_before);
}

// The CPU form rounds each operation on its own, as in these loops, whatever instructions the machine has: ranks on
// unlike hosts stay equal. (The test itself is compiled for the oldest machines, which have no fused multiply-add.)
TYPED_TEST(FlatKernels, RoundEveryOperation) {
  using Real = TypeParam;
  for (const auto& form : forms()) {
    if (form->is_cuda()) continue;
    for (const FlatCase& flat : flat_cases()) {
      const Results<Real> results(*form, flat);
      Storages<Real> sgd(flat);
      Storages<Real> adamw(flat);
      const auto scale = static_cast<Real>(0.3);
      const auto momentum = static_cast<Real>(0.9);
      for_each_element(flat, [&](std::size_t i, const Segment& segment) {
        const double rate = 0.1 * segment.learning_rate_factor;
        {
          auto& [p, g, m, v] = sgd;
          const Real gradient = g[i] * scale + static_cast<Real>(segment.weight_decay) * p[i];
          m[i] = momentum * m[i] + gradient;
          p[i] -= static_cast<Real>(rate) * (gradient + momentum * m[i]);
        }
        auto& [p, g, m, v] = adamw;
        const Real gradient = g[i] * scale;
        m[i] += static_cast<Real>(1 - 0.9) * (gradient - m[i]);
        v[i] = static_cast<Real>(0.999) * v[i] + static_cast<Real>(1 - 0.999) * gradient * gradient;
        const auto root = static_cast<Real>(std::sqrt(1 - power(0.999, segment.step)));
        p[i] = p[i] * static_cast<Real>(1 - rate * segment.weight_decay) -
               static_cast<Real>(rate / (1 - power(0.9, segment.step))) * m[i] /
                   (std::sqrt(v[i]) / root + static_cast<Real>(1e-8));
      });
      const std::vector<std::vector<Real>> expected = {sgd.parameters,   sgd.first,   sgd.second,
                                                       adamw.parameters, adamw.first, adamw.second};
      for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(results.bits[i], expected[i]) << flat.name << i;
    }
  }
}

/// Three steps from {1, -2, 0.5, 3.25}, with state zero at first; step t = 0, 1, 2 has the gradient
/// {0.5, -1.25, 2, -0.125} · (t + 1) - 0.25 t.
template <typename Update>
void expect_three_steps(const Update& update, const std::vector<double>& expected) {
  for (const auto& form : forms()) {
    Storages<double> storages({.name = "", .lengths = {4}});
    storages.parameters = {1, -2, 0.5, 3.25};
    storages.first = storages.second = {0, 0, 0, 0};
    std::vector<Segment> segments = {{.length = 4, .weight_decay = 0.05, .step = 0}};
    for (int t = 0; t < 3; ++t) {
      storages.gradients = {0.5, -1.25, 2, -0.125};
      for (double& gradient : storages.gradients) gradient = gradient * (t + 1) - 0.25 * t;
      const Buffers<double> buffers(*form, storages, segments, {}, {.learning_rate = 0.1});
      buffers.advance();
      update(buffers);
      segments = buffers.segments.values();
      storages.parameters = buffers.parameters.values();
      storages.first = buffers.first.values();
      storages.second = buffers.second.values();
    }
    for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(storages.parameters[i], expected[i], 1e-14) << form->name() << i;
  }
}

// The numbers are those of PyTorch 2.11's torch.optim.SGD and AdamW in float64.
TEST(Sgd, EqualsPyTorch) {
  const auto sgd = [](double momentum, bool nesterov) {
    return [=](const Buffers<double>& buffers) { buffers.update_sgd(momentum, nesterov); };
  };
  expect_three_steps(sgd(0, false), {0.7609486249999999, -1.147771625, -0.6285925625000001, 3.35111865625});
  expect_three_steps(sgd(0.9, false), {0.5953936249999999, -0.6616366249999999, -1.3127950625, 3.37511490625});
  expect_three_steps(sgd(0.9, true), {0.39882151887499995, 0.05104274912500035, -2.2519666236875002, 3.46352450696875});
}

constexpr AdamOptions kThreeSteps{.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-6};

TEST(AdamW, EqualsPyTorch) {
  expect_three_steps([](const Buffers<double>& buffers) { buffers.update_adamw(kThreeSteps); },
                     {0.6890328075944192, -1.6817450458858691, 0.2007151149138847, 3.4777531703604647});
}

// The numbers are those of the algorithm written in NumPy, in float64, as the paper has it.
TEST(Lamb, EqualsThePapersAlgorithm) {
  expect_three_steps([](const Buffers<double>& buffers) { buffers.update_lamb(kThreeSteps); },
                     {0.36693162775516236, -1.3524210411787654, -0.10909627703449262, 3.712823748139537});
}

}  // namespace
}  // namespace lockstep::kernels

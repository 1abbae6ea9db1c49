#include "kernels/flat_update/FlatUpdate.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "kernels/flat_update/Formulas.h"
#include "tests/kernels/FlatForms.h"

namespace lockstep::kernels {
namespace {

constexpr FlatStep kStep{.learning_rate = 0.01, .gradient_scale = 0.5};
constexpr double kRate = 0.01;
constexpr double kScale = 0.5;

/// One element in float64: p, g and up to three states.
struct Element {
  double p, g;
  std::array<double, kMostFlatStates> states;
};

/// A formula with options for it, what it does to an element in the plainest words, and what three steps of PyTorch
/// 2.11 make of {1, -2, 0.5, 3.25} from states of zero: step t = 0, 1, 2 has the gradient
/// {0.5, -1.25, 2, -0.125} · (t + 1) - 0.25 t, learning rate 0.1, weight decay 0.05.
template <template <typename> typename Formula>
struct Case {
  typename Formula<double>::Options options;
  std::function<void(Element&, const Segment&)> reference;
  std::array<double, 4> three_steps;
};

template <template <typename> typename Formula>
Case<Formula> case_of();

double decayed(const Element& e, const Segment& segment) { return kScale * e.g + segment.weight_decay * e.p; }
double rate_of(const Segment& segment) { return kRate * segment.learning_rate_factor; }

template <>
Case<Adam> case_of<Adam>() {
  return {{.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-6},
          [](Element& e, const Segment& segment) {
            auto& [m, v, unused] = e.states;
            const double g = decayed(e, segment);
            m = 0.9 * m + 0.1 * g;
            v = 0.99 * v + 0.01 * g * g;
            const auto t = static_cast<double>(segment.step);
            e.p -= rate_of(segment) * m / (1 - std::pow(0.9, t)) / (std::sqrt(v / (1 - std::pow(0.99, t))) + 1e-6);
          },
          {0.7018837253524093, -1.7091870188726725, 0.20654739324990512, 3.2961768456018072}};
}

template <bool kCentered, bool kMomentum>
void rmsprop(Element& e, const Segment& segment) {
  double& v = e.states[0];
  const double g = decayed(e, segment);
  v = 0.9 * v + 0.1 * g * g;
  double variance = v;
  if (kCentered) {
    double& a = e.states[1];
    a = 0.9 * a + 0.1 * g;
    variance -= a * a;
  }
  double direction = g / (std::sqrt(std::max(variance, 0.0)) + 1e-6);
  if (kMomentum) {
    double& m = e.states[kCentered ? 2 : 1];
    m = 0.9 * m + direction;
    direction = m;
  }
  e.p -= rate_of(segment) * direction;
}
constexpr RmsPropOptions kRmsProp{.beta2 = 0.9, .epsilon = 1e-6, .momentum = 0.9};

template <>
Case<PlainRmsProp> case_of<PlainRmsProp>() {
  return {kRmsProp,
          rmsprop<false, false>,
          {0.1825359380133879, -1.1344728650207956, -0.3533714403920884, 3.5343214989577287}};
}
template <>
Case<MomentumRmsProp> case_of<MomentumRmsProp>() {
  return {kRmsProp,
          rmsprop<false, true>,
          {-0.5937013312235004, -0.3346451772071353, -1.1473195049650806, 3.2778059851225514}};
}
template <>
Case<CenteredRmsProp> case_of<CenteredRmsProp>() {
  return {kRmsProp,
          rmsprop<true, false>,
          {0.09944785334267431, -1.0525609636654552, -0.4362907281592663, 3.556932738636923}};
}
template <>
Case<CenteredMomentumRmsProp> case_of<CenteredMomentumRmsProp>() {
  return {kRmsProp,
          rmsprop<true, true>,
          {-0.7311861280847152, -0.19826866187638661, -1.2850178324020751, 3.2834230240680142}};
}

template <>
Case<Adagrad> case_of<Adagrad>() {
  return {{.epsilon = 1e-6},
          [](Element& e, const Segment& segment) {
            const double g = decayed(e, segment);
            e.states[0] += g * g;
            e.p -= rate_of(segment) * g / (std::sqrt(e.states[0]) + 1e-6);
          },
          {0.7444890796985535, -1.728713921055011, 0.23289635039903067, 3.3394353103646974}};
}

// Three steps are those of the paper's algorithm written with PyTorch's operators.
template <>
Case<Lion> case_of<Lion>() {
  return {{.beta1 = 0.9, .beta2 = 0.99},
          [](Element& e, const Segment& segment) {
            double& m = e.states[0];
            const double g = kScale * e.g;
            const double direction = 0.9 * m + 0.1 * g;
            const double sign = direction > 0 ? 1 : direction < 0 ? -1 : 0;
            e.p -= rate_of(segment) * (sign + segment.weight_decay * e.p);
            m = 0.99 * m + 0.01 * g;
          },
          {0.686572375, -1.67164725, 0.1940349375, 3.4999958437500003}};
}

// What lies between the two passes of Muon is tested where it is: here three steps are of each pass's own.
template <>
Case<MuonMomentum> case_of<MuonMomentum>() {
  return {{.momentum = 0.9, .nesterov = true},
          [](Element& e, const Segment&) {
            double& m = e.states[0];
            m = 0.9 * m + 0.1 * kScale * e.g;
            e.p = 0.1 * kScale * e.g + 0.9 * m;
          },
          {0.2872, -1.121375, 1.4945500000000003, -0.2158625}};
}
template <>
Case<MuonStep> case_of<MuonStep>() {
  return {{},
          [](Element& e, const Segment& segment) {
            e.p = e.p * (1 - rate_of(segment) * segment.weight_decay) - rate_of(segment) * e.g;
          },
          {0.7609486249999999, -1.147771625, -0.6285925625000001, 3.35111865625}};
}

// The gradients stand for the parameters that are averaged.
template <>
Case<Average> case_of<Average>() {
  return {{.decay = 0.9},
          [](Element& e, const Segment& segment) { e.p = segment.step == 1 ? e.g : 0.9 * e.p + 0.1 * e.g; },
          {0.5725, -1.685, 2.5075, -0.23375}};
}

/// Calls `update(index into the storages, segment)` for each element that a formula may change.
template <typename Update>
void for_each_element(const std::vector<Segment>& segments, const Update& update) {
  for (const Segment& segment : segments) {
    if (segment.skip) continue;
    for (std::int64_t i = 0; i < segment.length; ++i) update(static_cast<std::size_t>(segment.offset + i), segment);
  }
}

/// Storages of one layout: parameters, gradients, states. Gradients that nobody may read are not numbers.
template <typename Real>
struct Storages {
  Storages(const std::vector<Segment>& segments, std::int64_t length)
      : parameters(normal_elements<Real>(static_cast<std::size_t>(length), 1)),
        gradients(parameters.size(), std::numeric_limits<Real>::quiet_NaN()) {
    const auto values = normal_elements<Real>(parameters.size(), 2);
    for_each_element(segments, [&](std::size_t i, const Segment&) { gradients[i] = values[i]; });
    for (std::size_t state = 0; state < states.size(); ++state) {
      states[state] = normal_elements<Real>(parameters.size(), 3 + static_cast<unsigned>(state));
    }
    for (Real& value : states[0]) value = std::abs(value);  // of some formulas a square
    for (Real& value : states[1]) value = std::abs(value);
  }
  std::vector<Real> parameters, gradients;
  std::array<std::vector<Real>, kMostFlatStates> states;
};

template <template <typename> typename Formula, typename Real>
struct Run {
  Run(const Form& form, const Storages<Real>& values, const std::vector<Segment>& table, const FlatPlacement& placement,
      const FlatStep& flat_step)
      : Run(form, values, table, placement, flat_step, pieces_of(table, piece_length(form))) {}
  Run(const Form& form, const Storages<Real>& values, const std::vector<Segment>& table, const FlatPlacement& placement,
      const FlatStep& flat_step, const std::vector<Piece>& piece_list)
      : parameters(form, values.parameters, placement.first),
        gradients(form, values.gradients, placement.others),
        states{Buffer<Real>(form, values.states[0], placement.first),
               Buffer<Real>(form, values.states[1], placement.others),
               Buffer<Real>(form, values.states[2], placement.first)},
        segments(form, table, {.at_end = !placement.first.at_end}),
        pieces(form, piece_list, {.at_end = !placement.first.at_end}),
        step(form, {flat_step}, {.at_end = true}) {
    FlatUpdate<Formula<Real>> args = {
        .parameters = parameters.data(),
        .gradients = gradients.data(),
        .states = {},
        .work = {segments.data(), pieces.data(), static_cast<std::int64_t>(pieces.values().size())},
        .step = step.data(),
        .options = case_of<Formula>().options};
    for (int i = 0; i < Formula<Real>::kStates; ++i) args.states[i] = states[static_cast<std::size_t>(i)].data();
    run(
        form, [](auto&&... given) { flat_update(given...); }, args);
  }
  std::vector<std::vector<Real>> results() const {
    std::vector<std::vector<Real>> all = {parameters.values()};
    for (const Buffer<Real>& state : states) all.push_back(state.values());
    return all;
  }

  Buffer<Real> parameters, gradients;
  std::array<Buffer<Real>, kMostFlatStates> states;
  Buffer<Segment> segments;
  Buffer<Piece> pieces;
  Buffer<FlatStep> step;
};

/// A formula and a type of elements.
template <template <typename> typename F, typename R>
struct Subject {
  using Real = R;
  template <typename T>
  using Formula = F<T>;
  static constexpr int kStates = F<R>::kStates;
  using Run = kernels::Run<F, R>;
  static Case<F> subject_case() { return case_of<F>(); }
};

template <typename Subject>
class FlatUpdateTest : public testing::Test {};
#define LOCKSTEP_SUBJECTS(Formula) Subject<Formula, float>, Subject<Formula, double>,
using Subjects = testing::Types<LOCKSTEP_FOR_EACH_FLAT_FORMULA(LOCKSTEP_SUBJECTS) Subject<Adam, double>>;
TYPED_TEST_SUITE(FlatUpdateTest, Subjects);

TYPED_TEST(FlatUpdateTest, MatchesItsFormula) {
  using Real = typename TypeParam::Real;
  const auto subject = TypeParam::subject_case();
  for_each_flat_case([&](const Form& form, const FlatCase& flat, const FlatPlacement& placement) {
    const std::vector<Segment> segments = segments_of(flat);
    const Storages<Real> before(segments, storage_length(flat));
    std::vector<std::vector<double>> expected = {to_doubles(before.parameters)};
    for (const auto& state : before.states) expected.push_back(to_doubles(state));
    for_each_element(segments, [&](std::size_t i, const Segment& segment) {
      Element element = {.p = expected[0][i],
                         .g = static_cast<double>(before.gradients[i]),
                         .states = {expected[1][i], expected[2][i], expected[3][i]}};
      subject.reference(element, segment);
      expected[0][i] = element.p;
      for (std::size_t state = 0; state < kMostFlatStates; ++state) expected[state + 1][i] = element.states[state];
    });
    const auto found = typename TypeParam::Run(form, before, segments, placement, kStep).results();
    for (std::size_t storage = 0; storage < found.size(); ++storage) {
      EXPECT_LE(relative_error(found[storage], expected[storage]), sizeof(Real) == 4 ? 1e-6 : 1e-14) << storage;
      const std::vector<Real>& was = storage == 0 ? before.parameters : before.states[storage - 1];
      std::vector<Real> others = found[storage];
      for_each_element(segments, [&](std::size_t i, const Segment&) { others[i] = was[i]; });
      EXPECT_EQ(others, was) << "outside segments, storage " << storage;
    }
  });
}

// As where ranks share out parameters: the second half of each of two segments.
TYPED_TEST(FlatUpdateTest, OfRangesAloneThereIsState) {
  using Real = typename TypeParam::Real;
  constexpr FlatRange kHalves[] = {{.begin = 128, .length = 128, .state = 0},
                                   {.begin = 384, .length = 128, .state = 128}};
  const std::vector<Segment> segments = segments_of({.name = "", .lengths = {256, 250}});
  const auto halves = [&](const std::vector<Real>& flat) {
    std::vector<Real> values(flat.begin() + 128, flat.begin() + 256);
    values.insert(values.end(), flat.begin() + 384, flat.begin() + 512);
    return values;
  };
  for (const auto& form : forms()) {
    const Storages<Real> before(segments, 512);
    Storages<Real> parts = before;
    for (std::vector<Real>& state : parts.states) state = halves(state);
    const auto whole = typename TypeParam::Run(*form, before, segments, {}, kStep).results();
    const auto found =
        typename TypeParam::Run(*form, parts, segments, {}, kStep, pieces_of(segments, piece_length(*form), kHalves))
            .results();
    const double tolerance = sizeof(Real) == 4 ? 1e-6 : 1e-14;
    EXPECT_LE(relative_error(halves(found[0]), to_doubles(halves(whole[0]))), tolerance) << form->name();
    EXPECT_TRUE(std::equal(found[0].begin(), found[0].begin() + 128, before.parameters.begin())) << form->name();
    for (std::size_t state = 1; state < found.size(); ++state) {
      EXPECT_LE(relative_error(found[state], to_doubles(halves(whole[state]))), tolerance) << form->name();
    }
  }
}

TYPED_TEST(FlatUpdateTest, ASkippedStepChangesNothing) {
  using Real = typename TypeParam::Real;
  for (const auto& form : forms()) {
    const FlatCase flat{.name = "", .lengths = {5000, 3}, .gap = 1};
    const Storages<Real> before(segments_of(flat), storage_length(flat));
    const auto found =
        typename TypeParam::Run(*form, before, segments_of(flat), {}, {.learning_rate = 1, .skip = true}).results();
    EXPECT_EQ(found[0], before.parameters) << form->name();
    for (std::size_t state = 0; state < kMostFlatStates; ++state) EXPECT_EQ(found[state + 1], before.states[state]);
  }
}

TYPED_TEST(FlatUpdateTest, ResultsDoNotDependOnThreadsOrTheirOrder) {
  using Real = typename TypeParam::Real;
  const int threads_before = omp_get_max_threads();
  const FlatCase flat{.name = "", .lengths = {100003, 1, 70000}, .gap = 13};
  const Storages<Real> before(segments_of(flat), storage_length(flat));
  for (const auto& form : forms()) {
    if (form->is_cuda()) continue;  // the emulator runs each case in three orders
    std::vector<std::vector<Real>> first;
    for (const int threads : {1, 2, 3, 5}) {
      omp_set_num_threads(threads);
      const auto found = typename TypeParam::Run(*form, before, segments_of(flat), {}, kStep).results();
      if (first.empty()) first = found;
      EXPECT_EQ(found, first) << threads;
    }
  }
  omp_set_num_threads(threads_before);
}

TYPED_TEST(FlatUpdateTest, ThreeStepsEqualPyTorchs) {
  using Real = typename TypeParam::Real;
  for (const auto& form : forms()) {
    std::vector<Segment> segments = {{.length = 4, .weight_decay = 0.05, .step = 0}};
    Storages<Real> storages(segments, 4);
    storages.parameters = {1, -2, 0.5, 3.25};
    for (auto& state : storages.states) state = {0, 0, 0, 0};
    for (int t = 0; t < 3; ++t) {
      ++segments[0].step;
      storages.gradients = {0.5, -1.25, 2, -0.125};
      for (Real& gradient : storages.gradients) {
        gradient = gradient * static_cast<Real>(t + 1) - Real(0.25) * static_cast<Real>(t);
      }
      const typename TypeParam::Run run(*form, storages, segments, {}, {.learning_rate = 0.1});
      const auto found = run.results();
      storages.parameters = found[0];
      for (std::size_t state = 0; state < kMostFlatStates; ++state) storages.states[state] = found[state + 1];
    }
    // Centered RMSprop takes the root of a difference of two squares that are nearly the same.
    const double tolerance = sizeof(Real) == 4 ? 2e-4 : 1e-13;
    const auto expected = TypeParam::subject_case().three_steps;
    for (std::size_t i = 0; i < 4; ++i)
      EXPECT_NEAR(storages.parameters[i], expected[i], tolerance) << form->name() << i;
  }
}

}  // namespace
}  // namespace lockstep::kernels

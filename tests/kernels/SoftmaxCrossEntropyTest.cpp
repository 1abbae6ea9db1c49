#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/softmax_cross_entropy/SoftmaxCrossEntropy.h"
#include "tests/kernels/Forms.h"
#include "tests/kernels/MatrixCases.h"

namespace lockstep::kernels {
namespace {

template <typename Element>
struct Case {
  std::int64_t rows, classes;
  std::vector<Element> logits = {};
  std::vector<std::int64_t> labels = {};
  std::vector<Arithmetic<Element>> weights = {};      // empty: none
  std::vector<Arithmetic<Element>> row_weights = {};  // empty: none
  double label_smoothing = 0;
  std::int64_t ignore_index = -100;
  double scale = 1;
  bool in_place = false;
};

template <typename Loss, typename Gradient>
struct Values {
  std::vector<Loss> loss, log_sum_exp, loss_sum, denominator;
  std::vector<Gradient> dlogits;
  std::int64_t invalid = 0;
};

// Term by term as PyTorch composes it of log_softmax, nll_loss and a sum for the smoothing.
template <typename Element>
Values<double, double> reference(const Case<Element>& given) {
  const auto classes = static_cast<std::size_t>(given.classes);
  const auto weight = [&](std::size_t c) -> double { return given.weights.empty() ? 1 : given.weights[c]; };
  Values<double, double> result;
  result.loss_sum = {0};
  result.denominator = {0};
  for (std::size_t row = 0; row < given.labels.size(); ++row) {
    std::vector<double> logs;
    for (std::size_t c = 0; c < classes; ++c) logs.push_back(to_arithmetic(given.logits[row * classes + c]));
    double maximum = -INFINITY;
    for (const double x : logs) maximum = std::max(maximum, x);
    double sum = 0;
    for (const double x : logs) sum += std::exp(x - maximum);
    for (double& x : logs) x = x - maximum - std::log(sum);
    result.log_sum_exp.push_back(maximum + std::log(sum));
    if (classes == 0 || maximum == -INFINITY) result.log_sum_exp.back() = NAN;

    const std::int64_t label = given.labels[row];
    const bool ignored = label == given.ignore_index;
    const bool valid = label >= 0 && label < given.classes;
    if (!ignored && !valid) ++result.invalid;
    const double label_weight = ignored ? 0 : valid ? weight(static_cast<std::size_t>(label)) : NAN;
    const double kept = given.label_smoothing > 0 ? 1 - given.label_smoothing : 1;
    const double share = ignored ? 0 : given.label_smoothing / static_cast<double>(given.classes);
    double smooth = 0;
    double weights = 0;
    for (std::size_t c = 0; c < classes; ++c) {
      smooth -= logs[c] * weight(c);
      weights += weight(c);
    }
    const double own = ignored ? 0 : given.row_weights.empty() ? 1 : given.row_weights[row];
    double loss = 0;
    if (!ignored) {
      loss = valid ? kept * -logs[static_cast<std::size_t>(label)] * label_weight : NAN;
      if (share > 0) loss += share * smooth;
      loss *= own;
    }
    result.loss.push_back(loss);
    result.loss_sum[0] += loss;
    result.denominator[0] += ignored ? 0 : own * label_weight;
    for (std::size_t c = 0; c < classes; ++c) {
      const double one = static_cast<std::int64_t>(c) == label ? 1 : 0;
      const double probability = std::exp(logs[c]);
      result.dlogits.push_back(
          given.scale * own *
          (kept * label_weight * (probability - one) + share * (weights * probability - weight(c))));
    }
  }
  return result;
}

template <typename Element>
Values<Arithmetic<Element>, Element> evaluate(const Form& form, const Case<Element>& given, Placement placement) {
  using Real = Arithmetic<Element>;
  const std::size_t rows = given.labels.size();
  const Buffer<Element> logits(form, given.logits, placement);
  const Buffer<std::int64_t> labels(form, given.labels, {.at_end = placement.at_end});
  const Buffer<Real> weights(form, given.weights, placement);
  const Buffer<Real> row_weights(form, given.row_weights, placement);
  const Buffer<Real> loss(form, rows, placement);
  const Buffer<Real> log_sum_exp(form, rows, placement);
  const Buffer<Real> loss_sum(form, 1, placement);
  const Buffer<Real> denominator(form, 1, placement);
  const Buffer<std::int64_t> invalid(form, 1, {.at_end = placement.at_end});
  const Buffer<Real> workspace(form, static_cast<std::size_t>(cross_entropy_workspace(given.rows)), placement);
  const Buffer<Real> scale(form, std::vector<Real>{static_cast<Real>(given.scale)}, placement);
  // Elsewhere in 16 bytes than the logits, unless those are at the start.
  const Buffer<Element> gradients(form, given.logits.size(), {.at_end = placement.at_end});
  const Real* const weight_data = given.weights.empty() ? nullptr : weights.data();
  const Real* const row_weight_data = given.row_weights.empty() ? nullptr : row_weights.data();
  run(
      form, [](auto&&... args) { softmax_cross_entropy(args...); },
      SoftmaxCrossEntropyForward<Element>{logits.data(), labels.data(), weight_data, row_weight_data, loss.data(),
                                          log_sum_exp.data(), loss_sum.data(), denominator.data(), invalid.data(),
                                          workspace.data(), given.rows, given.classes, given.ignore_index,
                                          given.label_smoothing});
  const Buffer<Real> one(form, 1, placement);
  const Buffer<Element>& dlogits = given.in_place ? logits : gradients;
  run(
      form, [](auto&&... args) { softmax_cross_entropy_backward(args...); },
      SoftmaxCrossEntropyBackward<Element>{logits.data(), labels.data(), weight_data, row_weight_data,
                                           log_sum_exp.data(), scale.data(), dlogits.data(), one.data(), given.rows,
                                           given.classes, given.ignore_index, given.label_smoothing});
  return {loss.values(),        log_sum_exp.values(), loss_sum.values(),
          denominator.values(), dlogits.values(),     invalid.values()[0]};
}

template <typename Element>
void expect_reference(const Form& form, const Case<Element>& given, Placement placement) {
  constexpr double kTolerance = tolerance<Arithmetic<Element>>();
  const auto expected = reference(given);
  const auto found = evaluate(form, given, placement);
  EXPECT_LE(relative_error(found.loss, expected.loss), kTolerance);
  EXPECT_LE(relative_error(found.log_sum_exp, expected.log_sum_exp), kTolerance);
  EXPECT_LE(relative_error(found.loss_sum, expected.loss_sum), kTolerance);
  EXPECT_LE(relative_error(found.denominator, expected.denominator), kTolerance);
  EXPECT_LE(relative_error(found.dlogits, expected.dlogits), tolerance<Element>());
  EXPECT_EQ(found.invalid, expected.invalid);
}

// One row in five is ignored.
template <typename Element>
Case<Element> make_case(std::int64_t rows, std::int64_t classes) {
  Case<Element> result{.rows = rows, .classes = classes};
  result.logits = normal_elements<Element>(static_cast<std::size_t>(rows * classes), 1);
  for (Element& logit : result.logits) logit = from_arithmetic<Element>(2 * to_arithmetic(logit));
  for (std::int64_t row = 0; row < rows; ++row) {
    // First class, last class, some others.
    const std::int64_t label = row % 3 == 0   ? classes - 1
                               : row % 3 == 1 ? 0
                                              : row * 7919 % std::max<std::int64_t>(classes, 1);
    result.labels.push_back(row % 5 == 4 || classes == 0 ? result.ignore_index : label);
  }
  return result;
}

template <typename Element>
std::vector<Arithmetic<Element>> class_weights(std::int64_t classes) {
  auto weights = normal_elements<Arithmetic<Element>>(static_cast<std::size_t>(classes), 3);
  for (auto& weight : weights) weight = std::abs(weight);
  if (classes > 2) weights[1] = 0;
  return weights;
}

bool is_emulated(const Form& form) { return form.name().starts_with("emulated"); }

constexpr unsigned kOptions = 8;

// With and without weights of classes and of rows and smoothing, and in place.
template <typename Element>
Case<Element> with_option(Case<Element> given, unsigned option) {
  const bool smooth = option % 2 != 0;
  const bool weighted = option / 2 % 2 != 0;
  given.label_smoothing = smooth ? 0.3 : 0;
  if (weighted) given.weights = class_weights<Element>(given.classes);
  if (option / 4 % 2 != 0) {
    given.row_weights = normal_elements<Arithmetic<Element>>(static_cast<std::size_t>(given.rows), 5);
    for (auto& weight : given.row_weights) weight = std::abs(weight);
  }
  given.in_place = weighted != smooth;
  return given;
}

template <typename Element>
class SoftmaxCrossEntropy : public testing::Test {};
TYPED_TEST_SUITE(SoftmaxCrossEntropy, Elements);

// Both sides of a vector (8), a warp (32), a warp's rows in a block (8), a warp's classes (1024), a CPU's block (2048),
// a block's vectors in flight (8192 and 16384); GPT-2's vocabulary.
constexpr MatrixCase kCases[] = {{0, 8},    {2, 0},    {1, 1},    {1, 8},    {3, 7},    {9, 33},    {17, 16},  {2, 255},
                                 {3, 1000}, {4, 1024}, {2, 1025}, {2, 2056}, {1, 9001}, {1, 16411}, {1, 50257}};

TYPED_TEST(SoftmaxCrossEntropy, ForwardAndBackwardMatchTheFormula) {
  using Element = TypeParam;
  for (const auto& form : forms()) {
    for (std::size_t c = 0; c < std::size(kCases); ++c) {
      for (std::size_t p = 0; p < placements().size(); ++p) {
        // Every option meets every placement.
        const auto option = static_cast<unsigned>((c + p) % kOptions);
        auto given = make_case<Element>(kCases[c].rows, kCases[c].columns);
        given.scale = 0.125;
        SCOPED_TRACE(form->name() + ", " + std::to_string(given.rows) + " x " + std::to_string(given.classes) +
                     placements()[p].name() + ", option " + std::to_string(option));
        expect_reference(*form, with_option(given, option), placements()[p]);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TYPED_TEST(SoftmaxCrossEntropy, AnyClassMayBeIgnored) {
  using Element = TypeParam;
  for (const auto& form : forms()) {
    auto given = make_case<Element>(20, 4);
    given.ignore_index = 3;
    for (std::int64_t& label : given.labels) label = std::max<std::int64_t>(label, 0);
    for (unsigned option = 0; option < kOptions; ++option) expect_reference(*form, with_option(given, option), {});
    std::fill(given.labels.begin(), given.labels.end(), 3);
    expect_reference(*form, given, {});
    EXPECT_EQ(evaluate(*form, given, {}).denominator[0], 0);
  }
}

// The reference gives what PyTorch gives, which was looked up.
TYPED_TEST(SoftmaxCrossEntropy, NotNumbers) {
  using Element = TypeParam;
  // A row's first, second and last logit.
  const std::vector<std::array<double, 3>> rows = {{1, 2, -INFINITY},
                                                   {1, 2, INFINITY},
                                                   {NAN, 2, 1},
                                                   {INFINITY, 1, INFINITY},
                                                   {-INFINITY, 1, NAN},
                                                   {2, NAN, 1},
                                                   {INFINITY, 1, -INFINITY},
                                                   {-INFINITY, -INFINITY, -INFINITY},
                                                   {-INFINITY, -INFINITY, 3}};
  for (const auto& form : forms()) {
    for (const std::int64_t classes : {3, 5000}) {
      for (unsigned option = 0; option < 2 * kOptions; option += classes == 3 ? 1 : 3) {
        for (unsigned turn = 0; turn < (classes == 3 && !is_emulated(*form) ? 4 : 1); ++turn) {
          Case<Element> given{.rows = static_cast<std::int64_t>(rows.size()), .classes = classes};
          std::vector<double> logits;
          for (const auto& [first, second, last] : rows) {
            const std::size_t begin = logits.size();
            logits.resize(begin + static_cast<std::size_t>(classes), option < kOptions ? -1 : -INFINITY);
            logits[begin] = first;
            logits[begin + 1] = second;
            logits.back() = last;
            const std::int64_t labels[] = {0, 1, classes - 1, given.ignore_index};
            given.labels.push_back(labels[(given.labels.size() + turn + option) % 4]);
          }
          given.logits = from_doubles<Element>(logits);
          SCOPED_TRACE(form->name() + ", " + std::to_string(classes) + " classes, option " + std::to_string(option) +
                       ", turn " + std::to_string(turn));
          expect_reference(*form, with_option(given, option), {});
          if (testing::Test::HasFailure()) return;
        }
      }
    }
  }
}

TYPED_TEST(SoftmaxCrossEntropy, PyTorchsOwnFigures) {
  using Element = TypeParam;
  for (const auto& form : forms()) {
    // torch.nn.functional.cross_entropy in float64, reduction='none', and the gradients of the sum
    Case<Element> given{.rows = 4, .classes = 3};
    given.logits =
        from_doubles<Element>({1, -INFINITY, 2, 1, -INFINITY, 2, -INFINITY, -INFINITY, -INFINITY, 0.5, 1, 2});
    given.labels = {0, 1, -100, 2};
    auto found = evaluate(*form, given, {});
    EXPECT_LE(relative_error(found.loss, {1.3132616875182228, INFINITY, 0, 0.4643687841079449}), 1e-6);
    const std::vector<double> first = {-0.7310585786300049, 0, 0.7310585786300049};
    EXPECT_LE(relative_error(std::vector(found.dlogits.begin(), found.dlogits.begin() + 3), first),
              tolerance<Element>());
    const std::vector<double> second = {0.2689414213699951, -1, 0.7310585786300049};
    EXPECT_LE(relative_error(std::vector(found.dlogits.begin() + 3, found.dlogits.begin() + 6), second),
              tolerance<Element>());
    EXPECT_TRUE(std::isnan(to_arithmetic(found.dlogits[6])));
    given.label_smoothing = 0.3;
    given.weights = {1, 0, 2};
    found = evaluate(*form, given, {});
    EXPECT_LE(relative_error(found.loss, {NAN, NAN, 0, 0.9394269329835062}), 1e-6);
    EXPECT_EQ(found.denominator[0], 3);
    const std::vector<double> smoothed = {-0.5310585786300048, 0, 0.5310585786300048};
    EXPECT_LE(relative_error(std::vector(found.dlogits.begin(), found.dlogits.begin() + 3), smoothed),
              tolerance<Element>());
  }
}

TYPED_TEST(SoftmaxCrossEntropy, LabelsThatAreNoClassAreCounted) {
  using Element = TypeParam;
  for (const auto& form : forms()) {
    for (const std::int64_t classes : {5, 1500}) {
      for (const Placement placement : {Placement{}, Placement{.at_end = true}}) {
        auto given = make_case<Element>(7, classes);
        given.labels = {classes,
                        0,
                        -1,
                        std::numeric_limits<std::int64_t>::min(),
                        -100,
                        classes - 1,
                        std::numeric_limits<std::int64_t>::max()};
        expect_reference(*form, with_option(given, 3), placement);
        const auto found = evaluate(*form, given, placement);
        EXPECT_EQ(found.invalid, 4);
        EXPECT_TRUE(std::isnan(found.loss[0]) && std::isnan(found.loss_sum[0]));
        EXPECT_TRUE(std::isnan(to_arithmetic(found.dlogits[0])));
        EXPECT_FALSE(std::isnan(found.loss[1]));
      }
    }
  }
}

TYPED_TEST(SoftmaxCrossEntropy, WhatAllLogitsHaveInCommonDoesNotCount) {
  using Element = TypeParam;
  for (const auto& form : forms()) {
    for (const std::int64_t classes : {8, 3000}) {
      auto given = make_case<Element>(3, classes);
      const bool narrow = sizeof(Element) == 2;  // every logit is a number of its type
      for (std::size_t i = 0; i < given.logits.size(); ++i) {
        const double step = static_cast<double>(i * 37 % 13);
        given.logits[i] =
            from_arithmetic<Element>(static_cast<Arithmetic<Element>>(narrow ? step * 8 - 1024 : step / 8 - 1'000'000));
      }
      for (unsigned option = 0; option < kOptions; ++option) {
        const auto shifted = with_option(given, option);
        EXPECT_LE(relative_error(evaluate(*form, shifted, {}).loss, reference(shifted).loss), 1e-6);
      }
    }
  }
}

TYPED_TEST(SoftmaxCrossEntropy, SumsOfManyRows) {
  using Element = TypeParam;
  for (const auto& form : forms()) {
    if (is_emulated(*form) && sizeof(Element) != 4) continue;  // it is slow
    auto given = make_case<Element>(is_emulated(*form) ? kCrossEntropySumRows + 6 : 300'000, 2);
    given.weights = {Arithmetic<Element>(0.7), Arithmetic<Element>(1.1)};
    expect_reference(*form, given, {});
    given.labels[0] = given.labels[1] = given.labels.back() = 2;
    EXPECT_EQ(evaluate(*form, given, {}).invalid, 3);
  }
}

}  // namespace
}  // namespace lockstep::kernels

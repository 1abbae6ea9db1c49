#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <span>

#include "kernels/adamw/AdamW.h"
#include "kernels/gradient_norm/GradientNorm.h"
#include "kernels/sgd/Sgd.h"
#include "tests/kernels/FlatCases.h"

namespace lockstep::kernels {
namespace {

template <typename Real>
constexpr double kTolerance = sizeof(Real) == 4 ? 1e-6 : 1e-14;

/// Storages of one layout, as an optimizer sees them.
template <typename Real>
struct Storages {
  explicit Storages(const FlatCase& flat)
      : skip(static_cast<std::size_t>(flat.misaligned)),
        parameters(normal_values<Real>(storage_length(flat) + flat.misaligned, 1)),
        gradients(normal_values<Real>(storage_length(flat) + flat.misaligned, 2)),
        first(normal_values<Real>(storage_length(flat) + flat.misaligned, 3)),
        second(normal_values<Real>(storage_length(flat) + flat.misaligned, 4)) {
    for (Real& value : second) value = std::abs(value);
  }
  std::span<Real> from_start(std::vector<Real>& values) const { return std::span(values).subspan(skip); }

  std::size_t skip;
  std::vector<Real> parameters, gradients, first, second;
};

template <typename Real>
double difference(const std::vector<Real>& values, const std::vector<double>& expected) {
  double error = 0;
  double norm = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    error += (values[i] - expected[i]) * (values[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return norm == 0 ? std::sqrt(error) : std::sqrt(error / norm);
}

template <typename Real>
std::vector<double> doubles(const std::vector<Real>& values) {
  return {values.begin(), values.end()};
}

/// Calls `update(index into the storages, segment)` for each element that an operator may change: the
/// plainest loop.
template <typename Update>
void for_each_element(const FlatCase& flat, const Update& update) {
  for (const Segment& segment : segments_of(flat)) {
    if (segment.skip) continue;
    for (std::int64_t i = 0; i < segment.length; ++i) {
      update(static_cast<std::size_t>(flat.misaligned + segment.offset + i), segment);
    }
  }
}

/// Expects `now` to be near `expected`, and equal to `before` where no operator has anything to change.
template <typename Real>
void expect_result(const FlatCase& flat, const std::vector<Real>& before, const std::vector<Real>& now,
                   const std::vector<double>& expected) {
  EXPECT_LE(difference(now, expected), kTolerance<Real>) << flat.name;
  std::vector<Real> kept = now;
  for_each_element(flat, [&](std::size_t i, const Segment&) { kept[i] = before[i]; });
  EXPECT_EQ(kept, before) << flat.name;
}

template <typename Real>
void check_sgd(const FlatCase& flat, double momentum, bool nesterov) {
  Storages<Real> storages(flat);
  const Storages<Real> before(flat);
  auto p = doubles(storages.parameters);
  auto m = doubles(storages.first);
  const auto g = doubles(storages.gradients);
  for_each_element(flat, [&](std::size_t i, const Segment& segment) {
    const double lr = 0.1 * segment.learning_rate_factor;
    const double gradient = 0.5 * g[i] + segment.weight_decay * p[i];
    if (momentum == 0) {
      p[i] -= lr * gradient;
      return;
    }
    m[i] = momentum * m[i] + gradient;
    p[i] -= lr * (nesterov ? gradient + momentum * m[i] : m[i]);
  });
  sgd(storages.from_start(storages.parameters), std::span<const Real>(storages.from_start(storages.gradients)),
      momentum == 0 ? std::span<Real>() : storages.from_start(storages.first), segments_of(flat),
      {.learning_rate = 0.1, .momentum = momentum, .nesterov = nesterov, .gradient_scale = 0.5});
  expect_result(flat, before.parameters, storages.parameters, p);
  expect_result(flat, before.first, storages.first, m);
}

TEST(Sgd, MatchesItsFormula) {
  for (const FlatCase& flat : flat_cases()) {
    for (const auto& [momentum, nesterov] : {std::pair(0.0, false), std::pair(0.9, false), std::pair(0.9, true)}) {
      check_sgd<float>(flat, momentum, nesterov);
      check_sgd<double>(flat, momentum, nesterov);
    }
  }
}

template <typename Real>
void check_adamw(const FlatCase& flat) {
  Storages<Real> storages(flat);
  const Storages<Real> before(flat);
  auto p = doubles(storages.parameters);
  auto m = doubles(storages.first);
  auto v = doubles(storages.second);
  const auto g = doubles(storages.gradients);
  for_each_element(flat, [&](std::size_t i, const Segment& segment) {
    const double lr = 0.01 * segment.learning_rate_factor;
    const double gradient = 0.5 * g[i];
    p[i] *= 1 - lr * segment.weight_decay;
    m[i] = 0.8 * m[i] + 0.2 * gradient;
    v[i] = 0.95 * v[i] + 0.05 * gradient * gradient;
    const double corrected = std::sqrt(v[i]) / std::sqrt(1 - std::pow(0.95, segment.step)) + 1e-7;
    p[i] -= lr / (1 - std::pow(0.8, segment.step)) * m[i] / corrected;
  });
  adamw(storages.from_start(storages.parameters), std::span<const Real>(storages.from_start(storages.gradients)),
        storages.from_start(storages.first), storages.from_start(storages.second), segments_of(flat),
        {.learning_rate = 0.01, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-7, .gradient_scale = 0.5});
  expect_result(flat, before.parameters, storages.parameters, p);
  expect_result(flat, before.first, storages.first, m);
  expect_result(flat, before.second, storages.second, v);
}

TEST(AdamW, MatchesItsFormula) {
  for (const FlatCase& flat : flat_cases()) {
    check_adamw<float>(flat);
    check_adamw<double>(flat);
  }
}

template <typename Real>
void check_norm(const FlatCase& flat) {
  Storages<Real> storages(flat);
  double expected = 0;
  for_each_element(flat, [&](std::size_t i, const Segment&) {
    expected += static_cast<double>(storages.gradients[i]) * static_cast<double>(storages.gradients[i]);
  });
  const GradientNorm norm =
      gradient_norm(std::span<const Real>(storages.from_start(storages.gradients)), segments_of(flat));
  EXPECT_NEAR(norm.sum_of_squares, expected, 1e-12 * expected) << flat.name;
  EXPECT_EQ(norm.non_finite, 0) << flat.name;
}

TEST(GradientNorm, MatchesItsFormula) {
  for (const FlatCase& flat : flat_cases()) {
    check_norm<float>(flat);
    check_norm<double>(flat);
  }
}

TEST(GradientNorm, CountsWhatIsNotFinite) {
  std::vector<float> gradients(40, 1.0f);
  gradients[3] = std::numeric_limits<float>::quiet_NaN();
  gradients[20] = std::numeric_limits<float>::infinity();
  gradients[37] = -std::numeric_limits<float>::infinity();
  gradients[39] = std::numeric_limits<float>::quiet_NaN();  // outside the segment
  EXPECT_EQ(
      gradient_norm(std::span<const float>(gradients), std::vector<Segment>{{.offset = 0, .length = 39}}).non_finite,
      3);
  std::vector<float> huge(16, 1e30f);  // its squares overflow float, not the sum
  const GradientNorm norm =
      gradient_norm(std::span<const float>(huge), std::vector<Segment>{{.offset = 0, .length = 16}});
  EXPECT_EQ(norm.non_finite, 0);
  EXPECT_NEAR(norm.sum_of_squares / 16e60, 1, 1e-6);
}

/// Every bit that the three operators write for a case.
template <typename Real>
struct Results {
  explicit Results(const FlatCase& flat) : sgd_storages(flat), adamw_storages(flat) {
    const std::span<const Real> gradients = sgd_storages.from_start(sgd_storages.gradients);
    sgd(sgd_storages.from_start(sgd_storages.parameters), gradients, sgd_storages.from_start(sgd_storages.first),
        segments_of(flat), {.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .gradient_scale = 0.3});
    adamw(adamw_storages.from_start(adamw_storages.parameters), gradients,
          adamw_storages.from_start(adamw_storages.first), adamw_storages.from_start(adamw_storages.second),
          segments_of(flat), {.learning_rate = 0.01, .gradient_scale = 0.3});
    norm = gradient_norm(gradients, segments_of(flat));
  }
  Storages<Real> sgd_storages, adamw_storages;
  GradientNorm norm;
};

template <typename Real>
void expect_same_bits(const FlatCase& flat, const Results<Real>& a, const Results<Real>& b) {
  EXPECT_EQ(a.sgd_storages.parameters, b.sgd_storages.parameters) << flat.name;
  EXPECT_EQ(a.sgd_storages.first, b.sgd_storages.first) << flat.name;
  EXPECT_EQ(a.adamw_storages.parameters, b.adamw_storages.parameters) << flat.name;
  EXPECT_EQ(a.adamw_storages.first, b.adamw_storages.first) << flat.name;
  EXPECT_EQ(a.adamw_storages.second, b.adamw_storages.second) << flat.name;
  EXPECT_EQ(a.norm.sum_of_squares, b.norm.sum_of_squares) << flat.name;
}

TEST(FlatKernels, ResultsDoNotDependOnTheNumberOfThreads) {
  const int threads_before = omp_get_max_threads();
  for (const FlatCase& flat : flat_cases()) {
    omp_set_num_threads(1);
    const Results<float> floats(flat);
    const Results<double> doubles(flat);
    for (const int threads : {2, 3, 5}) {
      omp_set_num_threads(threads);
      expect_same_bits(flat, floats, Results<float>(flat));
      expect_same_bits(flat, doubles, Results<double>(flat));
    }
  }
  omp_set_num_threads(threads_before);
}

// Each operation is rounded on its own, as in this loop, whatever instructions the machine has: ranks on
// unlike hosts stay equal. (The test itself is compiled for the oldest machines, which have no fused
// multiply-add.)
template <typename Real>
void check_rounding(const FlatCase& flat) {
  const Results<Real> results(flat);
  Storages<Real> storages(flat);
  std::vector<Real>& p = storages.parameters;
  std::vector<Real>& m = storages.first;
  const std::vector<Real>& g = storages.gradients;
  const auto scale = static_cast<Real>(0.3);
  const auto momentum = static_cast<Real>(0.9);
  for_each_element(flat, [&](std::size_t i, const Segment& segment) {
    const Real gradient = g[i] * scale + static_cast<Real>(segment.weight_decay) * p[i];
    m[i] = momentum * m[i] + gradient;
    p[i] -= static_cast<Real>(0.1 * segment.learning_rate_factor) * (gradient + momentum * m[i]);
  });
  EXPECT_EQ(results.sgd_storages.parameters, p) << flat.name;
  EXPECT_EQ(results.sgd_storages.first, m) << flat.name;
}

TEST(FlatKernels, RoundEveryOperation) {
  for (const FlatCase& flat : flat_cases()) {
    check_rounding<float>(flat);
    check_rounding<double>(flat);
  }
}

/// Three steps from {1, -2, 0.5, 3.25}; step t = 0, 1, 2 has the gradient {0.5, -1.25, 2, -0.125} · (t + 1) -
/// 0.25 t.
template <typename Step>
std::vector<double> three_steps(const Step& step) {
  std::vector<double> parameters = {1, -2, 0.5, 3.25};
  for (int t = 0; t < 3; ++t) {
    std::vector<double> gradients = {0.5, -1.25, 2, -0.125};
    for (double& gradient : gradients) gradient = gradient * (t + 1) - 0.25 * t;
    step(parameters, gradients, std::vector<Segment>{{.length = 4, .weight_decay = 0.05, .step = t + 1}});
  }
  return parameters;
}

void expect_near(const std::vector<double>& values, const std::vector<double>& expected) {
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1e-14) << i;
}

// The numbers are those of PyTorch 2.11's torch.optim.SGD and AdamW in float64.
TEST(Sgd, EqualsPyTorch) {
  const auto run = [](double momentum, bool nesterov) {
    std::vector<double> buffer(momentum == 0 ? 0 : 4);
    return three_steps([&](std::vector<double>& parameters, const std::vector<double>& gradients,
                           const std::vector<Segment>& segments) {
      sgd(std::span(parameters), std::span(gradients), std::span(buffer), segments,
          {.learning_rate = 0.1, .momentum = momentum, .nesterov = nesterov});
    });
  };
  expect_near(run(0, false), {0.7609486249999999, -1.147771625, -0.6285925625000001, 3.35111865625});
  expect_near(run(0.9, false), {0.5953936249999999, -0.6616366249999999, -1.3127950625, 3.37511490625});
  expect_near(run(0.9, true), {0.39882151887499995, 0.05104274912500035, -2.2519666236875002, 3.46352450696875});
}

TEST(AdamW, EqualsPyTorch) {
  std::vector<double> first(4);
  std::vector<double> second(4);
  const auto parameters = three_steps(
      [&](std::vector<double>& parameters, const std::vector<double>& gradients, const std::vector<Segment>& segments) {
        adamw(std::span(parameters), std::span(gradients), std::span(first), std::span(second), segments,
              {.learning_rate = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-6});
      });
  expect_near(parameters, {0.6890328075944192, -1.6817450458858691, 0.2007151149138847, 3.4777531703604647});
}

}  // namespace
}  // namespace lockstep::kernels

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

/// Calls `update(index into the storages, segment)` for each element that an operator may change: the plainest loop.
template <typename Update>
void for_each_element(const FlatCase& flat, const Update& update) {
  for (const Segment& segment : segments_of(flat)) {
    if (segment.skip) continue;
    for (std::int64_t i = 0; i < segment.length; ++i) {
      update(static_cast<std::size_t>(flat.misaligned + segment.offset + i), segment);
    }
  }
}

template <typename Real>
void check_sgd(const FlatCase& flat, double momentum, bool nesterov) {
  Storages<Real> storages(flat);
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
  EXPECT_LE(difference(storages.parameters, p), kTolerance<Real>) << flat.name;
  EXPECT_LE(difference(storages.first, m), kTolerance<Real>) << flat.name;
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
  EXPECT_LE(difference(storages.parameters, p), kTolerance<Real>) << flat.name;
  EXPECT_LE(difference(storages.first, m), kTolerance<Real>) << flat.name;
  EXPECT_LE(difference(storages.second, v), kTolerance<Real>) << flat.name;
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
  EXPECT_EQ(gradient_norm(std::span<const float>(gradients), std::vector<Segment>{{.offset = 0, .length = 39}}).non_finite, 3);
  std::vector<float> huge(16, 1e30f);  // its squares overflow float, not the sum
  const GradientNorm norm = gradient_norm(std::span<const float>(huge), std::vector<Segment>{{.offset = 0, .length = 16}});
  EXPECT_EQ(norm.non_finite, 0);
  EXPECT_NEAR(norm.sum_of_squares / 16e60, 1, 1e-6);
}

TEST(FlatKernels, ResultsDoNotDependOnTheNumberOfThreads) {
  const FlatCase flat = flat_cases().back();
  std::vector<std::vector<float>> parameters;
  std::vector<double> norms;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    Storages<float> storages(flat);
    const std::span<const float> gradients = storages.from_start(storages.gradients);
    adamw(storages.from_start(storages.parameters), gradients, storages.from_start(storages.first),
          storages.from_start(storages.second), segments_of(flat), {.learning_rate = 0.01});
    parameters.push_back(storages.parameters);
    norms.push_back(gradient_norm(gradients, segments_of(flat)).sum_of_squares);
  }
  EXPECT_EQ(parameters[0], parameters[1]);
  EXPECT_EQ(parameters[0], parameters[2]);
  EXPECT_EQ(norms[0], norms[1]);
  EXPECT_EQ(norms[0], norms[2]);
}

}  // namespace
}  // namespace lockstep::kernels

#include "kernels/batch_norm/BatchNorm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/kernels/Forms.h"
#include "tests/kernels/MatrixCases.h"

namespace lockstep::kernels {
namespace {

constexpr double kEpsilon = 1e-5;
constexpr double kMomentum = 0.3;

/// Which of the optional arguments there are, and whether y lies on the residual and dx on dy.
struct Options {
  bool residual = false;
  bool relu = false;
  bool weight = false;
  bool bias = false;
  bool running = false;
  bool in_place = false;
};

std::vector<Options> options() {
  return {{.residual = true, .relu = true, .weight = true, .bias = true, .running = true, .in_place = true},
          {.relu = true, .weight = true, .bias = true, .running = true},
          {.relu = true, .bias = true},
          {.residual = true, .weight = true, .in_place = true},
          {.residual = true, .relu = true, .running = true},
          {}};
}

template <typename Element>
struct Inputs {
  std::vector<Element> x, residual, dy;
  std::vector<Arithmetic<Element>> weight, bias, running_mean, running_variance;
};

template <typename Element>
Inputs<Element> normal_inputs(const MatrixCase& matrix, double mean = 0.5) {
  using Real = Arithmetic<Element>;
  const auto size = static_cast<std::size_t>(matrix.rows * matrix.columns);
  const auto columns = static_cast<std::size_t>(matrix.columns);
  auto x = to_doubles(normal_elements<Element>(size, 1));
  for (double& value : x) value += mean;
  return {from_doubles<Element>(x),          normal_elements<Element>(size, 2), normal_elements<Element>(size, 3),
          normal_elements<Real>(columns, 5), normal_elements<Real>(columns, 6), normal_elements<Real>(columns, 7),
          normal_elements<Real>(columns, 8)};
}

struct Results {
  std::vector<double> y, mean, rstd, running_mean, running_variance, dx, dresidual, weight_gradient, bias_gradient;
};

// In long double: means far from zero cost a double what they cost the operator. ReLU's signs are those of `y`, which
// may round to either side of zero.
template <typename Element>
Results reference(const Inputs<Element>& in, const MatrixCase& matrix, const Options& given,
                  const std::vector<Element>& y) {
  using Wide = long double;
  const auto rows = static_cast<std::size_t>(matrix.rows);
  const auto n = static_cast<std::size_t>(matrix.columns);
  const auto count = static_cast<Wide>(rows);
  Results out;
  out.y.resize(rows * n);
  out.dx.resize(rows * n);
  out.dresidual.resize(rows * n);
  for (std::size_t column = 0; column < n; ++column) {
    const auto over_rows = [&](const auto& term) {
      Wide sum = 0;
      for (std::size_t i = column; i < rows * n; i += n) sum += term(i);
      return sum;
    };
    const Wide mean = over_rows([&](std::size_t i) { return Wide(to_arithmetic(in.x[i])); }) / count;
    const auto centered = [&](std::size_t i) { return to_arithmetic(in.x[i]) - mean; };
    const Wide squares = over_rows([&](std::size_t i) { return centered(i) * centered(i); });
    const Wide rstd = 1 / std::sqrt(squares / count + kEpsilon);
    const Wide weight = given.weight ? in.weight[column] : 1;
    const auto gradient = [&](std::size_t i) {
      return given.relu && to_arithmetic(y[i]) <= 0 ? 0 : Wide(to_arithmetic(in.dy[i]));
    };
    const Wide gradients = over_rows(gradient);
    const Wide products = over_rows([&](std::size_t i) { return gradient(i) * centered(i) * rstd; });
    for (std::size_t i = column; i < rows * n; i += n) {
      Wide value = centered(i) * rstd * weight + (given.bias ? in.bias[column] : 0);
      if (given.residual) value += to_arithmetic(in.residual[i]);
      out.y[i] = static_cast<double>(given.relu && value < 0 ? 0 : value);
      out.dx[i] = static_cast<double>(weight * rstd *
                                      (gradient(i) - gradients / count - centered(i) * rstd * products / count));
      out.dresidual[i] = static_cast<double>(gradient(i));
    }
    out.mean.push_back(static_cast<double>(mean));
    out.rstd.push_back(static_cast<double>(rstd));
    out.running_mean.push_back(static_cast<double>((1 - kMomentum) * in.running_mean[column] + kMomentum * mean));
    out.running_variance.push_back(
        static_cast<double>((1 - kMomentum) * in.running_variance[column] + kMomentum * squares / (count - 1)));
    out.weight_gradient.push_back(static_cast<double>(products));
    out.bias_gradient.push_back(static_cast<double>(gradients));
  }
  return out;
}

/// The forms that there are: none of CUDA.
template <typename Check>
void for_each_cpu_form(const Check& check) {
  for (const auto& form : forms()) {
    if (!form->is_cuda()) check(*form);
  }
}

template <typename Element>
void expect_matches(const Form& form, const MatrixCase& matrix, Placement placement, const Options& given,
                    const Inputs<Element>& in, double real_tolerance) {
  using Real = Arithmetic<Element>;
  const double element_tolerance = std::max(real_tolerance, tolerance<Element>());
  const auto columns = static_cast<std::size_t>(matrix.columns);
  const Buffer<Element> x(form, in.x, placement);
  const Buffer<Element> residual(form, in.residual, placement);
  const Buffer<Element> dy(form, in.dy, placement);
  const Buffer<Real> weight(form, in.weight, placement);
  const Buffer<Real> bias(form, in.bias, placement);
  const Buffer<Real> running_mean(form, in.running_mean, placement);
  const Buffer<Real> running_variance(form, in.running_variance, placement);
  const Buffer<Element> y_buffer(form, in.x.size(), placement);
  const Buffer<Element> dx_buffer(form, in.x.size(), placement);
  const Buffer<Element> dresidual(form, in.x.size(), placement);
  const Buffer<Real> mean(form, columns, placement);
  const Buffer<Real> rstd(form, columns, placement);
  const Buffer<Real> weight_gradient(form, columns, placement);
  const Buffer<Real> bias_gradient(form, columns, placement);
  const Buffer<Real> workspace(form, static_cast<std::size_t>(batch_norm_workspace(matrix.rows, matrix.columns)),
                               placement);
  const Buffer<Element>& y = given.in_place ? residual : y_buffer;
  const Buffer<Element>& dx = given.in_place ? dy : dx_buffer;
  const Real* const weights = given.weight ? weight.data() : nullptr;
  const Real* const biases = given.bias ? bias.data() : nullptr;
  form.run([&] {
    batch_norm(BatchNormForward<Element>{
        x.data(), given.residual ? residual.data() : nullptr, weights, biases, y.data(), mean.data(), rstd.data(),
        given.running ? running_mean.data() : nullptr, given.running ? running_variance.data() : nullptr,
        workspace.data(), matrix.rows, matrix.columns, kEpsilon, kMomentum, given.relu});
  });
  form.run([&] {
    batch_norm_backward(BatchNormBackward<Element>{
        dy.data(), x.data(), given.residual && given.relu ? y.data() : nullptr, mean.data(), rstd.data(), weights,
        biases, dx.data(), given.residual ? dresidual.data() : nullptr, weight_gradient.data(), bias_gradient.data(),
        workspace.data(), matrix.rows, matrix.columns, given.relu});
  });
  const Results expected = reference(in, matrix, given, y.values());
  EXPECT_LE(relative_error(y.values(), expected.y), element_tolerance);
  const std::vector<Real> means = mean.values();
  for (std::size_t column = 0; column < columns; ++column) {  // a mean may cancel: its scale is that of the column
    const double scale = std::abs(expected.mean[column]) + 1 / expected.rstd[column];
    EXPECT_LE(std::abs(means[column] - expected.mean[column]), tolerance<Real>() * scale);
  }
  EXPECT_LE(relative_error(rstd.values(), expected.rstd), real_tolerance);
  if (given.running) {
    EXPECT_LE(relative_error(running_mean.values(), expected.running_mean), real_tolerance);
    EXPECT_LE(relative_error(running_variance.values(), expected.running_variance), real_tolerance);
  }
  // Over a row or two x is its mean and a sign, and all but rounding cancels: its scale is that of dy then.
  const double most = *std::max_element(expected.rstd.begin(), expected.rstd.end());
  const std::vector<double> dx_values = to_doubles(dx.values());
  for (std::size_t i = 0; i < expected.dx.size(); ++i) {
    const double weight_scale = given.weight ? std::abs(in.weight[i % columns]) : 1;
    EXPECT_LE(std::abs(dx_values[i] - expected.dx[i]),
              8 * element_tolerance * (std::abs(expected.dx[i]) + 4 * most * weight_scale))
        << i;
  }
  if (given.residual) {
    EXPECT_EQ(to_doubles(dresidual.values()), expected.dresidual);
  }
  const auto dy_scale = std::sqrt(static_cast<double>(matrix.rows));
  const auto expect_near = [&](const std::vector<Real>& found, const std::vector<double>& wanted) {
    for (std::size_t column = 0; column < columns; ++column) {
      EXPECT_LE(std::abs(found[column] - wanted[column]), 8 * real_tolerance * (std::abs(wanted[column]) + dy_scale))
          << column;
    }
  };
  expect_near(weight_gradient.values(), expected.weight_gradient);
  expect_near(bias_gradient.values(), expected.bias_gradient);
}

template <typename Element>
class BatchNorm : public testing::Test {};
TYPED_TEST_SUITE(BatchNorm, Elements);

TYPED_TEST(BatchNorm, ForwardAndBackwardMatchTheFormula) {
  std::size_t next = 0;  // so that all options meet all placements
  const std::vector<Options> all = options();
  for_each_matrix_case([&](const Form& form, const MatrixCase& matrix, Placement placement) {
    if (form.is_cuda() || matrix.rows < 2) return;
    SCOPED_TRACE("options " + std::to_string(next % all.size()));
    expect_matches(form, matrix, placement, all[next++ % all.size()], normal_inputs<TypeParam>(matrix),
                   tolerance<Arithmetic<TypeParam>>());
  });
}

// Chunks of unequal length, and more rows than there are chunks of the least length.
TYPED_TEST(BatchNorm, ManyRows) {
  for_each_cpu_form([&](const Form& form) {
    std::size_t next = 0;
    for (const MatrixCase& matrix : {MatrixCase{6145, 3}, MatrixCase{7001, 24}, MatrixCase{384 * 16 + 7, 8}}) {
      SCOPED_TRACE(std::to_string(matrix.rows) + " rows");
      expect_matches(form, matrix, {}, options()[next++], normal_inputs<TypeParam>(matrix),
                     tolerance<Arithmetic<TypeParam>>());
    }
  });
}

// What PyTorch 2.11 gives away in float32 when images lie channels last: it adds up the pixels one by one.
TEST(BatchNormFarFromZero, KeepsItsDigits) {
  for_each_cpu_form([&](const Form& form) {
    const MatrixCase matrix{20'000, 5};
    expect_matches(form, matrix, {}, options()[1], normal_inputs<float>(matrix, 100), 2e-5);
    expect_matches(form, matrix, {}, options()[1], normal_inputs<double>(matrix, 100), 2e-14 * 100);
  });
}

TYPED_TEST(BatchNorm, NaNStaysInItsColumnAndReluKeepsIt) {
  using Real = Arithmetic<TypeParam>;
  const MatrixCase matrix{40, 9};
  auto in = normal_inputs<TypeParam>(matrix);
  in.x[13 * 9 + 4] = from_arithmetic<TypeParam>(std::numeric_limits<Real>::quiet_NaN());
  for_each_cpu_form([&](const Form& form) {
    const Buffer<TypeParam> x(form, in.x, {});
    const Buffer<TypeParam> y(form, in.x.size(), {});
    const Buffer<Real> mean(form, 9, {});
    const Buffer<Real> rstd(form, 9, {});
    const Buffer<Real> workspace(form, static_cast<std::size_t>(batch_norm_workspace(40, 9)), {});
    batch_norm(BatchNormForward<TypeParam>{x.data(), nullptr, nullptr, nullptr, y.data(), mean.data(), rstd.data(),
                                           nullptr, nullptr, workspace.data(), 40, 9, kEpsilon, kMomentum, true});
    const auto values = to_doubles(y.values());
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(std::isnan(values[i]), i % 9 == 4) << i;
  });
}

}  // namespace
}  // namespace lockstep::kernels

#include "kernels/layer_norm/LayerNorm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/kernels/Forms.h"
#include "tests/kernels/MatrixCases.h"

namespace lockstep::kernels {
namespace {

constexpr double kEpsilon = 1e-5;

/// Which of the optional arguments there are, and whether outputs lie on inputs.
struct Options {
  bool residual = false;
  bool weight = false;
  bool bias = false;
  bool dsum = false;
  bool weight_gradient = false;
  bool bias_gradient = false;
  bool in_place = false;
};

std::vector<Options> options() {
  return {{.residual = true,
           .weight = true,
           .bias = true,
           .dsum = true,
           .weight_gradient = true,
           .bias_gradient = true,
           .in_place = true},
          {.weight = true, .bias_gradient = true},
          {.bias = true, .dsum = true, .weight_gradient = true},
          {.residual = true, .weight = true, .weight_gradient = true, .bias_gradient = true},
          {}};
}

template <typename Element>
struct Inputs {
  std::vector<Element> x, residual, dy, dsum;
  std::vector<Arithmetic<Element>> weight, bias;
};

template <typename Element>
Inputs<Element> normal_inputs(const MatrixCase& matrix, double mean = 0.5) {
  const auto size = static_cast<std::size_t>(matrix.rows * matrix.columns);
  const auto columns = static_cast<std::size_t>(matrix.columns);
  auto x = to_doubles(normal_elements<Element>(size, 1));
  for (double& value : x) value += mean;
  return {from_doubles<Element>(x),
          normal_elements<Element>(size, 2),
          normal_elements<Element>(size, 3),
          normal_elements<Element>(size, 4),
          normal_elements<Arithmetic<Element>>(columns, 5),
          normal_elements<Arithmetic<Element>>(columns, 6)};
}

struct Results {
  std::vector<double> sum, y, mean, rstd, dx, weight_gradient, bias_gradient;
};

// In long double: means far from zero cost a double what they cost the operator.
template <typename Element>
Results reference(const Inputs<Element>& in, const MatrixCase& matrix, const Options& given) {
  using Wide = long double;
  const auto rows = static_cast<std::size_t>(matrix.rows);
  const auto n = static_cast<std::size_t>(matrix.columns);
  Results out;
  out.weight_gradient.resize(n);
  out.bias_gradient.resize(n);
  for (std::size_t begin = 0; begin < rows * n; begin += n) {
    Wide mean = 0;
    for (std::size_t i = begin; i < begin + n; ++i) {
      Element s = in.x[i];
      if (given.residual) s = from_arithmetic<Element>(to_arithmetic(s) + to_arithmetic(in.residual[i]));
      out.sum.push_back(to_arithmetic(s));
      mean += out.sum[i] / static_cast<Wide>(n);
    }
    Wide variance = 0;
    for (std::size_t i = begin; i < begin + n; ++i) {
      variance += (out.sum[i] - mean) * (out.sum[i] - mean) / static_cast<Wide>(n);
    }
    const Wide rstd = 1 / std::sqrt(variance + kEpsilon);
    out.mean.push_back(static_cast<double>(mean));
    out.rstd.push_back(static_cast<double>(rstd));
    std::vector<Wide> normalised(n);
    std::vector<Wide> gradients(n);
    Wide gradient_mean = 0;
    Wide slope = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double dy = to_arithmetic(in.dy[begin + i]);
      const double weight = given.weight ? in.weight[i] : 1;
      normalised[i] = (out.sum[begin + i] - mean) * rstd;
      gradients[i] = dy * weight;
      out.y.push_back(static_cast<double>(normalised[i] * weight + (given.bias ? in.bias[i] : 0)));
      out.weight_gradient[i] += static_cast<double>(dy * normalised[i]);
      out.bias_gradient[i] += dy;
      gradient_mean += gradients[i] / static_cast<Wide>(n);
      slope += gradients[i] * normalised[i] / static_cast<Wide>(n);
    }
    for (std::size_t i = 0; i < n; ++i) {
      out.dx.push_back(static_cast<double>(rstd * (gradients[i] - gradient_mean - normalised[i] * slope)) +
                       (given.dsum ? to_arithmetic(in.dsum[begin + i]) : 0));
    }
  }
  return out;
}

template <typename Element>
void expect_matches(const Form& form, const MatrixCase& matrix, Placement placement, const Options& given,
                    const Inputs<Element>& in, double real_tolerance) {
  using Real = Arithmetic<Element>;
  const double element_tolerance = std::max(real_tolerance, tolerance<Element>());
  const auto rows = static_cast<std::size_t>(matrix.rows);
  const Buffer<Element> x(form, in.x, placement);
  const Buffer<Element> residual(form, in.residual, placement);
  const Buffer<Element> dy(form, in.dy, placement);
  const Buffer<Element> dsum(form, in.dsum, placement);
  const Buffer<Real> weight(form, in.weight, placement);
  const Buffer<Real> bias(form, in.bias, placement);
  const Buffer<Element> sum_buffer(form, in.x.size(), placement);
  const Buffer<Element> y(form, in.x.size(), placement);
  const Buffer<Element> dx_buffer(form, in.x.size(), placement);
  const Buffer<Real> mean(form, rows, placement);
  const Buffer<Real> rstd(form, rows, placement);
  const Buffer<Real> weight_gradient(form, in.weight.size(), placement);
  const Buffer<Real> bias_gradient(form, in.weight.size(), placement);
  const bool sums_wanted = given.weight_gradient || given.bias_gradient;
  const Buffer<Real> workspace(
      form, sums_wanted ? static_cast<std::size_t>(layer_norm_workspace(matrix.rows, matrix.columns)) : 0, placement);
  const Buffer<Element>& sum = given.in_place ? x : sum_buffer;
  const Buffer<Element>& dx = given.in_place ? dy : dx_buffer;
  run(
      form, [](auto&&... args) { layer_norm(args...); },
      LayerNormForward<Element>{x.data(), given.residual ? residual.data() : nullptr,
                                given.weight ? weight.data() : nullptr, given.bias ? bias.data() : nullptr,
                                given.residual ? sum.data() : nullptr, y.data(), mean.data(), rstd.data(), matrix.rows,
                                matrix.columns, kEpsilon});
  run(
      form, [](auto&&... args) { layer_norm_backward(args...); },
      LayerNormBackward<Element>{dy.data(), given.residual ? sum.data() : x.data(), mean.data(), rstd.data(),
                                 given.weight ? weight.data() : nullptr, given.dsum ? dsum.data() : nullptr, dx.data(),
                                 given.weight_gradient ? weight_gradient.data() : nullptr,
                                 given.bias_gradient ? bias_gradient.data() : nullptr,
                                 sums_wanted ? workspace.data() : nullptr, matrix.rows, matrix.columns});
  const Results expected = reference(in, matrix, given);
  if (given.residual) {
    EXPECT_EQ(to_doubles(sum.values()), expected.sum);
  }
  EXPECT_LE(relative_error(y.values(), expected.y), element_tolerance);
  for (std::size_t row = 0; row < rows; ++row) {  // a mean may cancel: its scale is that of the row
    const double scale = std::abs(expected.mean[row]) + 1 / expected.rstd[row];
    EXPECT_LE(std::abs(mean.values()[row] - expected.mean[row]), tolerance<Real>() * scale);
  }
  EXPECT_LE(relative_error(rstd.values(), expected.rstd), real_tolerance);
  EXPECT_LE(relative_error(dx.values(), expected.dx), element_tolerance);
  if (given.weight_gradient) {
    EXPECT_LE(relative_error(weight_gradient.values(), expected.weight_gradient), real_tolerance);
  }
  if (given.bias_gradient) {
    EXPECT_LE(relative_error(bias_gradient.values(), expected.bias_gradient), tolerance<Real>());
  }
}

template <typename Element>
class LayerNorm : public testing::Test {};
TYPED_TEST_SUITE(LayerNorm, Elements);

TYPED_TEST(LayerNorm, ForwardAndBackwardMatchTheFormula) {
  std::size_t next = 0;  // so that all options meet all placements, and each form the same
  const std::vector<Options> all = options();
  for_each_matrix_case([&](const Form& form, const MatrixCase& matrix, Placement placement) {
    SCOPED_TRACE("options " + std::to_string(next % all.size()));
    expect_matches(form, matrix, placement, all[next++ % all.size()], normal_inputs<TypeParam>(matrix),
                   tolerance<Arithmetic<TypeParam>>());
  });
}

// GPT-2's, both sides of what a team of threads can hold, and what none can.
TYPED_TEST(LayerNorm, LongRows) {
  const struct {
    MatrixCase matrix;
    std::size_t options;
  } cases[] = {{{18, 768}, 0}, {{3, 776}, 0},   {{3, 2048}, 1}, {{17, 2056}, 0},
               {{2, 4099}, 1}, {{1, 12288}, 4}, {{2, 12296}, 3}};
  for (const auto& form : forms()) {
    for (const auto& each : cases) {
      SCOPED_TRACE(form->name() + ", " + std::to_string(each.matrix.columns) + " columns");
      expect_matches(*form, each.matrix, {.at_end = true}, options()[each.options],
                     normal_inputs<TypeParam>(each.matrix), tolerance<Arithmetic<TypeParam>>());
    }
  }
}

template <typename Element>
void expect_accuracy_far_from_zero() {
  for (const std::int64_t columns : {33, 768, 2056}) {
    const MatrixCase matrix{2, columns};
    const auto in = normal_inputs<Element>(matrix, columns == 768 ? 1e5 : 1e4);
    for (const auto& form : forms()) {
      SCOPED_TRACE(form->name() + ", " + std::to_string(columns) + " columns");
      expect_matches(*form, matrix, {}, options()[2], in, tolerance<Element>());
    }
  }
}

TEST(LayerNormFarFromZero, KeepsItsAccuracy) {
  expect_accuracy_far_from_zero<float>();
  expect_accuracy_far_from_zero<double>();
}

TYPED_TEST(LayerNorm, ConstantRowsAreZeroAndNaNStaysInItsRow) {
  using Real = Arithmetic<TypeParam>;
  for (const auto& form : forms()) {
    SCOPED_TRACE(form->name());
    const std::size_t columns = 100;
    std::vector<TypeParam> x(3 * columns, from_arithmetic<TypeParam>(static_cast<Real>(1234.5678)));
    x[columns + 17] = from_arithmetic<TypeParam>(std::numeric_limits<Real>::quiet_NaN());
    const Buffer<TypeParam> x_buffer(*form, x, {});
    const Buffer<TypeParam> y(*form, x.size(), {});
    const Buffer<Real> mean(*form, 3, {});
    const Buffer<Real> rstd(*form, 3, {});
    run(
        *form, [](auto&&... args) { layer_norm(args...); },
        LayerNormForward<TypeParam>{x_buffer.data(), nullptr, nullptr, nullptr, nullptr, y.data(), mean.data(),
                                    rstd.data(), 3, columns, kEpsilon});
    const auto values = to_doubles(y.values());
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i / columns == 1) {
        EXPECT_TRUE(std::isnan(values[i])) << i;
      } else {
        EXPECT_LE(std::abs(values[i]), 1e-6) << i;
      }
    }
    EXPECT_NEAR(rstd.values()[0], 1 / std::sqrt(kEpsilon), 1e-3);
    EXPECT_TRUE(std::isnan(rstd.values()[1]));
  }
}

}  // namespace
}  // namespace lockstep::kernels

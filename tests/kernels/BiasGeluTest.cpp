#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "kernels/ColumnSum.h"
#include "kernels/bias_gelu/BiasGelu.h"
#include "tests/kernels/Forms.h"
#include "tests/kernels/MatrixCases.h"

namespace lockstep::kernels {
namespace {

struct Reference {
  double factor, derivative;
};

Reference reference(double z, Gelu form) {
  if (form == Gelu::kErf) {
    const double factor = std::erfc(-z / std::sqrt(2.0)) / 2;
    return {factor, factor + z * std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi)};
  }
  const double root = std::sqrt(2 / std::numbers::pi);
  const double tanh = std::tanh(root * (z + 0.044715 * z * z * z));
  return {(1 + tanh) / 2, (1 + tanh) / 2 + z / 2 * (1 - tanh * tanh) * root * (1 + 3 * 0.044715 * z * z)};
}

template <typename Element>
class BiasGelu : public testing::Test {};
TYPED_TEST_SUITE(BiasGelu, Elements);

TYPED_TEST(BiasGelu, ForwardAndBackwardMatchTheFormula) {
  using Element = TypeParam;
  using Real = Arithmetic<Element>;
  for_each_matrix_case([](const Form& form, const MatrixCase& matrix, Placement placement) {
    const auto size = static_cast<std::size_t>(matrix.rows * matrix.columns);
    auto x = normal_elements<Element>(size, 1);
    for (std::size_t i = 0; i < size; i += 7) x[i] = from_arithmetic<Element>(to_arithmetic(x[i]) * 5);  // the tails
    const auto dy = normal_elements<Element>(size, 2);
    const auto bias = normal_elements<Real>(static_cast<std::size_t>(matrix.columns), 3);
    for (const Gelu gelu : {Gelu::kErf, Gelu::kTanh}) {
      for (const bool biased : {true, false}) {
        std::vector<double> y(size);
        std::vector<double> dx(size);
        std::vector<double> bias_gradient(bias.size());
        for (std::size_t i = 0; i < size; ++i) {
          const std::size_t column = i % bias.size();
          const double z = to_arithmetic(x[i]) + (biased ? bias[column] : 0);
          const Reference expected = reference(z, gelu);
          y[i] = z * expected.factor;
          dx[i] = to_arithmetic(dy[i]) * expected.derivative;
          bias_gradient[column] += dx[i];
        }
        const Buffer<Element> x_buffer(form, x, placement);
        const Buffer<Element> dy_buffer(form, dy, placement);
        const Buffer<Real> bias_buffer(form, bias, placement);
        const Buffer<Element> y_buffer(form, size, placement);
        const Buffer<Element> dx_buffer(form, size, placement);
        const Buffer<Real> gradient_buffer(form, bias.size(), placement);
        const Buffer<Real> workspace(form, static_cast<std::size_t>(column_sum_workspace(matrix.rows, matrix.columns)),
                                     placement);
        const Real* bias_data = biased ? bias_buffer.data() : nullptr;
        run(
            form, [](auto&&... args) { bias_gelu(args...); },
            BiasGeluForward<Element>{x_buffer.data(), bias_data, y_buffer.data(), matrix.rows, matrix.columns, gelu});
        run(
            form, [](auto&&... args) { bias_gelu_backward(args...); },
            BiasGeluBackward<Element>{dy_buffer.data(), x_buffer.data(), bias_data, dx_buffer.data(),
                                      biased ? gradient_buffer.data() : nullptr, workspace.data(), matrix.rows,
                                      matrix.columns, gelu});
        EXPECT_LE(relative_error(y_buffer.values(), y), tolerance<Element>());
        EXPECT_LE(relative_error(dx_buffer.values(), dx), tolerance<Element>());
        if (biased) {
          EXPECT_LE(relative_error(gradient_buffer.values(), bias_gradient), tolerance<Real>());
        }
      }
    }
  });
}

TYPED_TEST(BiasGelu, FarTailsAreZeroAndTheIdentity) {
  using Element = TypeParam;
  for (const auto& form : forms()) {
    for (const Gelu gelu : {Gelu::kErf, Gelu::kTanh}) {
      const std::vector<double> x = {-60000, -200, -40, 0, 40, 200, 60000, INFINITY, NAN};
      const Buffer<Element> x_buffer(*form, from_doubles<Element>(x), {});
      const Buffer<Element> y_buffer(*form, x.size(), {});
      run(
          *form, [](auto&&... args) { bias_gelu(args...); },
          BiasGeluForward<Element>{x_buffer.data(), nullptr, y_buffer.data(), 1, 9, gelu});
      const auto y = to_doubles(y_buffer.values());
      const auto rounded = to_doubles(x_buffer.values());
      for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(y[i], 0) << form->name() << i;
      for (std::size_t i = 3; i < 8; ++i) EXPECT_EQ(y[i], rounded[i]) << form->name() << i;
      EXPECT_TRUE(std::isnan(y[8]));
    }
  }
}

}  // namespace
}  // namespace lockstep::kernels

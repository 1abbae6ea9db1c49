#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "kernels/max_pool_relu/MaxPoolRelu.h"
#include "tests/kernels/Forms.h"
#include "tests/kernels/MatrixCases.h"

namespace lockstep::kernels {
namespace {

struct AxisCase {
  std::int64_t size;
  std::int32_t kernel, stride, padding;
  bool ceil_mode = false;
  PoolAxis axis() const { return pool_axis(size, kernel, stride, padding, ceil_mode); }
};

struct PoolCase {
  std::int64_t batch, channels;
  AxisCase rows, columns;
};

// Whole windows of the sides that have a form of their own and of others; overlap, gaps, rests that no window reaches,
// and windows over the edges; channels on both sides of a vector, a tile (64) and a block.
std::vector<PoolCase> pool_cases() {
  return {{0, 8, {4, 2, 2, 0}, {4, 2, 2, 0}},
          {1, 0, {4, 2, 2, 0}, {4, 2, 2, 0}},
          {1, 1, {1, 1, 1, 0}, {1, 1, 1, 0}},
          {2, 8, {6, 2, 2, 0}, {7, 2, 2, 0}},
          {1, 32, {5, 2, 2, 0}, {4, 2, 2, 0}},
          {2, 3, {5, 2, 2, 0, true}, {7, 2, 2, 0, true}},
          {1, 65, {7, 3, 2, 1}, {8, 3, 2, 1}},
          {1, 16, {7, 3, 2, 1, true}, {6, 3, 2, 0, true}},
          {1, 5, {6, 3, 1, 1}, {5, 3, 1, 1}},
          {1, 72, {9, 2, 3, 1}, {8, 2, 4, 0}},
          {1, 4, {10, 2, 4, 1, true}, {9, 3, 5, 1, true}},
          {1, 8, {8, 5, 3, 2}, {6, 1, 2, 0}},
          {1, 2, {17, 15, 2, 7}, {20, 15, 15, 7}},
          {1, 24, {3, 3, 3, 1}, {4, 2, 2, 1}},
          {3, 520, {2, 2, 2, 0}, {2, 2, 1, 0}}};
}

struct Expected {
  std::vector<double> y, dx;
};

// The definition, window by window, as at::native's max_pool2d and relu for the CPU have it.
Expected reference(const PoolShape& shape, bool relu, const std::vector<double>& x, const std::vector<double>& dy) {
  const auto& [batch, channels, rows, columns] = shape;
  Expected expected{.y = {}, .dx = std::vector<double>(x.size())};
  for (std::int64_t image = 0; image < batch; ++image) {
    for (std::int64_t out_row = 0; out_row < rows.outputs; ++out_row) {
      for (std::int64_t out_column = 0; out_column < columns.outputs; ++out_column) {
        for (std::int64_t c = 0; c < channels; ++c) {
          double best = -INFINITY;
          std::int64_t chosen = -1;
          for (std::int64_t i = 0; i < rows.kernel * columns.kernel; ++i) {
            const std::int64_t row = out_row * rows.stride - rows.padding + i / columns.kernel;
            const std::int64_t column = out_column * columns.stride - columns.padding + i % columns.kernel;
            if (row < 0 || row >= rows.size || column < 0 || column >= columns.size) continue;
            const std::int64_t at = ((image * rows.size + row) * columns.size + column) * channels + c;
            const double value = x[static_cast<std::size_t>(at)];
            if (chosen < 0 || value > best || std::isnan(value)) {
              best = value;
              chosen = at;
            }
          }
          const bool zero = relu && best <= 0;
          if (!zero) expected.dx[static_cast<std::size_t>(chosen)] += dy[expected.y.size()];
          expected.y.push_back(zero ? 0 : best);
        }
      }
    }
  }
  return expected;
}

// Few different values, so that there are ties; runs without a finite value; NaN.
std::vector<double> pool_inputs(std::int64_t length) {
  std::mt19937 engine(5);
  std::vector<double> values;
  for (std::int64_t i = 0; i < length; ++i) {
    const unsigned draw = engine() >> 8U;
    values.push_back(draw % 41 == 0 ? NAN : draw % 5 == 0 ? -INFINITY : static_cast<double>(draw % 9) / 4 - 1.5);
  }
  return values;
}

template <typename Element>
class MaxPoolReluTest : public testing::Test {};
TYPED_TEST_SUITE(MaxPoolReluTest, Elements);

TYPED_TEST(MaxPoolReluTest, ForwardAndBackwardMatchTheDefinition) {
  using Element = TypeParam;
  for (const PoolCase& pool : pool_cases()) {
    const PoolShape shape = {pool.batch, pool.channels, pool.rows.axis(), pool.columns.axis()};
    const auto& [batch, channels, rows, columns] = shape;
    const auto inputs = static_cast<std::size_t>(batch * rows.size * columns.size * channels);
    const auto outputs = static_cast<std::size_t>(batch * rows.outputs * columns.outputs * channels);
    const auto x = from_doubles<Element>(pool_inputs(static_cast<std::int64_t>(inputs)));
    const auto dy = normal_elements<Element>(outputs, 6);
    for (const bool relu : {true, false}) {
      const Expected expected = reference(shape, relu, to_doubles(x), to_doubles(dy));
      ASSERT_EQ(expected.y.size(), outputs);
      for (const auto& form : forms()) {
        for (const Placement placement : placements()) {
          SCOPED_TRACE(form->name() + ", " + std::to_string(rows.size) + " x " + std::to_string(columns.size) + " x " +
                       std::to_string(channels) +
                       (placement.at_end           ? ", at the end"
                        : placement.misaligned > 0 ? ", misaligned"
                                                   : ""));
          // Every buffer is once the only misaligned one: then too no other may be read by wide accesses.
          const auto place = [&, turn = (batch + rows.size + (relu ? 1 : 0)) % 3](std::int64_t buffer) {
            return placement.misaligned > 0 && buffer != turn ? Placement{} : placement;
          };
          const Buffer<Element> x_buffer(*form, x, place(0));
          const Buffer<Element> dx_buffer(*form, inputs, place(0));
          const Buffer<Element> y_buffer(*form, outputs, place(1));
          const Buffer<Element> dy_buffer(*form, dy, place(1));
          const Buffer<std::uint8_t> index_buffer(*form, outputs, place(2));
          run(
              *form, [](auto&&... args) { max_pool_relu(args...); },
              MaxPoolReluForward<Element>{x_buffer.data(), y_buffer.data(), index_buffer.data(), shape, relu});
          run(
              *form, [](auto&&... args) { max_pool_relu_backward(args...); },
              MaxPoolReluBackward<Element>{dy_buffer.data(), index_buffer.data(), dx_buffer.data(), shape});
          ASSERT_EQ(relative_error(y_buffer.values(), expected.y), 0);
          ASSERT_LE(relative_error(dx_buffer.values(), expected.dx), tolerance<Element>());
        }
      }
    }
  }
}

TEST(PoolAxis, OutputsAreThoseOfTorch) {
  // torch.nn.functional.max_pool1d(torch.zeros(1, size), kernel, stride, padding, ceil_mode=...).shape[1]
  EXPECT_EQ((AxisCase{26, 2, 2, 0}.axis().outputs), 13);
  EXPECT_EQ((AxisCase{11, 2, 2, 0}.axis().outputs), 5);
  EXPECT_EQ((AxisCase{11, 2, 2, 0, true}.axis().outputs), 6);
  EXPECT_EQ((AxisCase{112, 3, 2, 1}.axis().outputs), 56);
  EXPECT_EQ((AxisCase{5, 1, 4, 0, true}.axis().outputs), 2);
  EXPECT_EQ((AxisCase{3, 1, 4, 0, true}.axis().outputs), 1);   // a second window would begin behind the end
  EXPECT_EQ((AxisCase{10, 2, 4, 1, true}.axis().outputs), 3);  // a fourth too, in the padding
  EXPECT_EQ((AxisCase{1, 2, 2, 0}.axis().outputs), 0);
}

}  // namespace
}  // namespace lockstep::kernels

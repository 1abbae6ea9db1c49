// y = max-pool(x), or ReLU of it, over images with channels last; the backward pass needs one byte of an output
// element.
//
// Source: aten::max_pool2d without dilation and aten::relu (PyTorch 2.11). Of equal maxima the first in row-major order
// of the window has the gradient, of several NaN the last; where ReLU makes a zero nothing has it.
#pragma once

#include <cstdint>

#include "kernels/ElementTypes.h"
#include "kernels/Stream.h"

namespace lockstep::kernels {

/// The largest window in either direction: an index of it fits a byte.
inline constexpr std::int64_t kMostPoolKernel = 15;

/// Elements of one image at most: the CUDA form counts within an image in 32 bits.
inline constexpr std::int64_t kMostPoolImage = std::int64_t{1} << 30;

/// One of the two directions that windows slide in.
template <typename Index>
struct PoolAxisOf {
  /// Indexes from `begin` on that are less than `end`.
  struct Range {
    Index begin, end;
  };

  Index size, outputs;
  std::int32_t kernel, stride, padding;  ///< kernel ≤ kMostPoolKernel, padding ≤ kernel / 2

  constexpr Index window_begin(Index output) const { return output * stride - padding; }
  /// The inputs in an output's window. At least one.
  constexpr Range window(Index output) const {
    const Index begin = window_begin(output);
    return {begin > 0 ? begin : 0, begin + kernel < size ? begin + kernel : size};
  }
  /// The outputs in whose windows an input is.
  constexpr Range windows(Index input) const {
    const Index at = input + padding;
    const Index end = at / stride + 1;
    return {at < kernel ? 0 : (at - kernel) / stride + 1, end < outputs ? end : outputs};
  }
  /// When no windows overlap: an output's window with the gap behind it, so that every input is in one output's.
  constexpr Range cell(Index output) const {
    const Index end = window_begin(output + 1);
    return {output == 0 ? 0 : window_begin(output), output + 1 == outputs || end > size ? size : end};
  }
};
using PoolAxis = PoolAxisOf<std::int64_t>;

/// `ceil_mode`: as torch.nn.MaxPool2d has it.
constexpr PoolAxis pool_axis(std::int64_t size, std::int32_t kernel, std::int32_t stride, std::int32_t padding,
                             bool ceil_mode) {
  const std::int64_t room = size + 2 * std::int64_t{padding} - kernel;
  std::int64_t outputs = room < 0 ? 0 : (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  if (ceil_mode && (outputs - 1) * stride >= size + padding) --outputs;  // its window would be all padding
  return {size, outputs, kernel, stride, padding};
}

struct PoolShape {
  std::int64_t batch, channels;
  PoolAxis rows, columns;
};

/// In place of a window index: the output is 0 whatever the input is near to it.
inline constexpr std::uint8_t kNoMaximum = 255;

/// x is [batch, rows.size, columns.size, channels], y and index [batch, rows.outputs, columns.outputs, channels].
template <typename Element>
struct MaxPoolReluForward {
  const Element* x;
  Element* y;
  std::uint8_t* index;  ///< row · columns.kernel + column in the window of what has the gradient, or kNoMaximum
  PoolShape shape;
  bool relu;
};

/// dx[i] = Σ of dy over the windows in which i is the maximum. All of dx is written.
template <typename Element>
struct MaxPoolReluBackward {
  const Element* dy;
  const std::uint8_t* index;
  Element* dx;
  PoolShape shape;
};

/// For Element in float, double, BFloat16, Half. The results do not depend on the number of threads or blocks.
template <typename Element>
void max_pool_relu(const MaxPoolReluForward<Element>& args);
template <typename Element>
void max_pool_relu(const MaxPoolReluForward<Element>& args, Stream stream);
template <typename Element>
void max_pool_relu_backward(const MaxPoolReluBackward<Element>& args);
template <typename Element>
void max_pool_relu_backward(const MaxPoolReluBackward<Element>& args, Stream stream);

}  // namespace lockstep::kernels

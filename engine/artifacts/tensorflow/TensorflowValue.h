// A tensor of a TensorFlow function, and in which order it has the dimensions of the program's.
#pragma once

#include <string>
#include <vector>

#include "engine/artifacts/primitives/PrimitiveGraph.h"

namespace lockstep {

/// TensorFlow's CPU kernels want images as NHWC, programs have them as NCHW. So a value remembers the order that its
/// tensor has, and a Transpose is written only where an operator needs another one.
struct TensorflowValue {
  std::string reference;
  ElementType type = ElementType::kFloat;
  std::vector<Dimension> sizes{};  ///< in TensorFlow's order
  Ints axes{};                     ///< dimension i of TensorFlow's tensor is the program's dimension axes[i]
  /// Of the Conv2D that it comes right out of; 0: out of something else. TensorFlow fuses a BiasAdd or FusedBatchNormV3
  /// behind a Conv2D with it on its own, for which it has no kernel without oneDNN where there are several groups.
  /// Reshape and Transpose do not hinder it: they may be taken out.
  std::int64_t groups = 0;

  std::size_t rank() const { return sizes.size(); }
  /// Where the program's dimension is.
  std::size_t place(std::size_t dim) const;
};

/// 0, 1, 2, …
Ints in_order(std::size_t rank);
/// NHWC of NCHW, and the same for one or three spatial dimensions.
Ints channels_last(std::size_t rank);
/// `axes` with the dimension `dim` last and the others as they are.
Ints with_last(const Ints& axes, std::size_t dim);
/// `axes` without the dimensions `dims`; those behind them move up.
Ints without(const Ints& axes, const Ints& dims);
/// The places of `dims` in `axes`, ascending.
Ints places(const Ints& axes, const Ints& dims);

template <typename T>
std::vector<T> permute(const std::vector<T>& values, const Ints& axes) {
  std::vector<T> permuted;
  for (const std::int64_t axis : axes) permuted.push_back(values.at(static_cast<std::size_t>(axis)));
  return permuted;
}

/// -1 for sizes that are only known at run time.
Ints known_sizes(const std::vector<Dimension>& sizes);
bool is_one(const Dimension& size);

}  // namespace lockstep

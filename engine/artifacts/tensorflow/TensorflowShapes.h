// Pieces of TensorFlow functions that change the sizes or the order of tensors.
#pragma once

#include <limits>
#include <vector>

#include "engine/artifacts/tensorflow/TensorflowBuilder.h"

namespace lockstep {

/// The order for operands of one operator which costs fewest Transposes; among equals, one that is not the program's.
Ints aligned_axes(const std::vector<TensorflowValue>& values);
/// A value as TensorFlow broadcasts it to a tensor whose dimensions have this order.
TensorflowValue aligned_to(TensorflowBuilder& builder, const TensorflowValue& value, const Ints& axes);

/// Operands of an operator that broadcasts, in one order.
struct AlignedValues {
  std::vector<TensorflowValue> values;
  Ints axes;
};
AlignedValues aligned(TensorflowBuilder& builder, std::vector<TensorflowValue> values);

// What follows counts dimensions as TensorFlow's tensor has them.

/// What is taken of one dimension: from `start`, every `step`, to before `end`; negative ones count from the end.
struct TensorflowSlice {
  TensorflowInteger start = std::int64_t{0};
  TensorflowInteger end = std::numeric_limits<std::int64_t>::max();  ///< to the end
  std::int64_t step = 1;
};
/// Of the first dimensions; the others are whole. The result's sizes are the caller's to state.
TensorflowValue sliced(TensorflowBuilder& builder, const TensorflowValue& value,
                       const std::vector<TensorflowSlice>& slices);
/// With a number before and after each dimension.
TensorflowValue padded(TensorflowBuilder& builder, const TensorflowValue& value, const Ints& before, const Ints& after,
                       double number);
/// The result's sizes are the caller's to state.
TensorflowValue concatenated(TensorflowBuilder& builder, std::vector<TensorflowValue> values, std::size_t place);
/// Into parts of equal sizes.
std::vector<TensorflowValue> split(TensorflowBuilder& builder, const TensorflowValue& value, std::size_t place,
                                   std::int64_t parts);

}  // namespace lockstep

// Which dimensions become which in a reshape.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/artifacts/tensorflow/TensorflowValue.h"

namespace lockstep {

/// Dimensions, adjacent in row-major order, whose elements become those of adjacent dimensions of the result. Either
/// may be empty, when what is on the other side is 1.
struct ReshapeGroup {
  Ints from;
  Ints to;
};

/// The groups of a reshape, in row-major order, as small as the sizes let them be seen.
std::vector<ReshapeGroup> reshape_groups(const std::vector<Dimension>& from, const std::vector<Dimension>& to);

/// How a tensor is reshaped without more transposing than it takes.
struct ReshapePlan {
  Ints before;  ///< the order in which the value has to be
  Ints after;   ///< the order that the result then has
};
/// For a value whose dimensions have the order `axes`, of sizes `from` in the program's order.
ReshapePlan plan_reshape(const Ints& axes, const std::vector<Dimension>& from, const std::vector<Dimension>& to);

}  // namespace lockstep

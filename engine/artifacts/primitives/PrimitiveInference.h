// Types and sizes of what primitive operations return.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "engine/artifacts/primitives/PrimitiveGraph.h"

namespace lockstep {

/// How sizes that are only known at run time are called.
struct SizeNames {
  std::function<Dimension()> fresh;             ///< a name that nothing else has
  std::function<Dimension(const Integer&)> of;  ///< of an integer: the number, or the name of what is computed
};

/// What the operation returns for inputs of these types and sizes: as much as can be told without their elements.
/// Throws InternalError for inputs that it does not take.
std::vector<PrimitiveValue> infer(const primitive::Operation& operation, const std::vector<PrimitiveValue>& inputs,
                                  const SizeNames& names);

/// The size that -1 stands for among `others`, when a tensor of the input's sizes is reshaped; nothing where that
/// cannot be told. Throws InternalError where known sizes do not fit.
std::optional<Dimension> left_over_size(const std::vector<Dimension>& input, const std::vector<Dimension>& others);

/// The sizes of two tensors of these sizes, broadcast. Throws InternalError where known sizes do not fit.
std::vector<Dimension> broadcast_sizes(const std::vector<Dimension>& a, const std::vector<Dimension>& b,
                                       const SizeNames& names);

/// Output size of a convolution (or pool) along one dimension, without the extra window of ceil_mode.
std::int64_t windows(std::int64_t size, const primitive::Window& window, std::size_t dim);

}  // namespace lockstep

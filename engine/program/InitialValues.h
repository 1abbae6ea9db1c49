// How parameters begin.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <functional>

namespace lockstep {

/// Fills a parameter with its initial values, drawn from the generator.
using Initial = std::function<void(at::Tensor&, const at::Generator&)>;

/// As the functions of torch.nn.init of these names.
namespace initial {

Initial constant(double value);
Initial uniform(double bound);  ///< from -bound to bound
Initial normal(double deviation);
/// trunc_normal_ with its own bounds, -2 and 2.
Initial truncated_normal(double deviation);

}  // namespace initial

}  // namespace lockstep

// The element types of tensors as kernels see them, in CPU and CUDA code alike.
#pragma once

#include <cstdint>

namespace lockstep::kernels {

/// The upper half of a float32: 8 bits of exponent, 7 of fraction.
struct BFloat16 {
  std::uint16_t bits = 0;
};

/// IEEE 754 binary16: 5 bits of exponent, 10 of fraction.
struct Half {
  std::uint16_t bits = 0;
};

/// What a kernel computes in, and what parameters, their gradients and statistics are stored in beside activations of
/// type Element: float64 for float64, otherwise float32.
template <typename Element>
struct ArithmeticOf {
  using Type = float;
};
template <>
struct ArithmeticOf<double> {
  using Type = double;
};
template <typename Element>
using Arithmetic = typename ArithmeticOf<Element>::Type;

/// To instantiate an operator for all element types.
#define LOCKSTEP_FOR_EACH_ELEMENT(Do) Do(float) Do(double) Do(BFloat16) Do(Half)

}  // namespace lockstep::kernels

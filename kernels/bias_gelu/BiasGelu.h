// y = GELU(x + bias), forward and backward in one pass each; only x is kept for the backward pass.
//
// Source of the formulas: Hendrycks and Gimpel 2016, as torch.nn.functional.gelu (PyTorch 2.11) has them; z = x + bias:
//   kErf:  z · Φ(z), Φ(z) = (1 + erf(z / √2)) / 2
//   kTanh: z / 2 · (1 + tanh(√(2/π) (z + 0.044715 z³)))
#pragma once

#include <cstdint>

#include "kernels/ElementTypes.h"
#include "kernels/Stream.h"

namespace lockstep::kernels {

enum class Gelu { kErf, kTanh };

/// Row-major [rows, columns] unless said otherwise. y may be x.
template <typename Element>
struct BiasGeluForward {
  const Element* x;
  const Arithmetic<Element>* bias;  ///< [columns], or nullptr for none
  Element* y;
  std::int64_t rows, columns;
  Gelu form;
};

/// dx = dy · GELU'(x + bias), bias_gradient = Σ over rows of dx before it is rounded. dx may be dy.
template <typename Element>
struct BiasGeluBackward {
  const Element* dy;
  const Element* x;
  const Arithmetic<Element>* bias;  ///< [columns], or nullptr for none
  Element* dx;
  Arithmetic<Element>* bias_gradient;  ///< [columns], or nullptr: not wanted
  /// column_sum_workspace(rows, columns) elements, when bias_gradient is wanted
  Arithmetic<Element>* workspace;
  std::int64_t rows, columns;
  Gelu form;
};

/// For Element in float, double, BFloat16, Half. The results do not depend on the number of threads or blocks.
template <typename Element>
void bias_gelu(const BiasGeluForward<Element>& args);
template <typename Element>
void bias_gelu(const BiasGeluForward<Element>& args, Stream stream);
template <typename Element>
void bias_gelu_backward(const BiasGeluBackward<Element>& args);
template <typename Element>
void bias_gelu_backward(const BiasGeluBackward<Element>& args, Stream stream);

}  // namespace lockstep::kernels

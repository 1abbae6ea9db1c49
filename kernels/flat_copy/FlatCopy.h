// Tensors into flat storage and back, all of them at once, with cast and scale: a bucket of gradients to be reduced.
//
//   pack:   flat[tensor.offset + i] = To(tensor[i] · scale)
//   unpack: tensor[i] = To(flat[tensor.offset + i] · scale)
// The product is taken in float64 where From or To is, else in float32, and rounded to nearest, ties to even.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/ElementTypes.h"
#include "kernels/FlatWork.h"
#include "kernels/Stream.h"

namespace lockstep::kernels {

/// A dense tensor and its place in the flat storage.
template <typename Element>
struct FlatTensor {
  Element* data;
  std::int64_t offset;  ///< in elements from the start of the flat storage
  std::int64_t length;  ///< in elements
};

template <typename From, typename To>
struct Pack {
  const FlatTensor<const From>* tensors;
  const Piece* pieces;  ///< pieces_of(tensors, …)
  std::int64_t piece_count;
  To* flat;
  const double* scale;  ///< nullptr: 1
};

template <typename From, typename To>
struct Unpack {
  const From* flat;
  const FlatTensor<To>* tensors;
  const Piece* pieces;  ///< pieces_of(tensors, …)
  std::int64_t piece_count;
  const double* scale;  ///< nullptr: 1
};

/// For all pairs of float, BFloat16 and Half, and of float and double. What lies between tensors in the flat storage
/// stays as it is.
template <typename From, typename To>
void pack(const Pack<From, To>& args);
template <typename From, typename To>
void pack(const Pack<From, To>& args, Stream stream);
template <typename From, typename To>
void unpack(const Unpack<From, To>& args);
template <typename From, typename To>
void unpack(const Unpack<From, To>& args, Stream stream);

/// What the product is computed in.
template <typename From, typename To>
using Product = std::conditional_t<sizeof(From) == 8 || sizeof(To) == 8, double, float>;

/// To instantiate for all pairs.
#define LOCKSTEP_FOR_EACH_FLAT_PAIR(Do)                                                                              \
  Do(float, float) Do(float, BFloat16) Do(float, Half) Do(BFloat16, float) Do(BFloat16, BFloat16) Do(BFloat16, Half) \
      Do(Half, float) Do(Half, BFloat16) Do(Half, Half) Do(double, double) Do(double, float) Do(float, double)

}  // namespace lockstep::kernels

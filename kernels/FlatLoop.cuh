// How CUDA forms walk over flat storage: a block for each piece.
#pragma once

#include "kernels/Cuda.cuh"
#include "kernels/FlatWork.h"

namespace lockstep::kernels::device {

inline constexpr int kFlatThreads = 256;

/// How many of `length` elements come before the first from which `first` and all of `others`, of the same type or not,
/// can be accessed kVector elements at a time: all of them when they do not meet at such a place.
template <int kVector, typename First, typename... Others>
__device__ int vector_head(int length, const First* first, const Others*... others) {
  const auto phase = [](const auto* pointer) {
    return static_cast<int>(reinterpret_cast<std::uintptr_t>(pointer) / sizeof *pointer % kVector);
  };
  const int head = (kVector - phase(first)) % kVector;
  return ((phase(others) == phase(first)) && ...) && head < length ? head : length;
}

/// A thread's part of a storage: kCount vectors, between which lie those of the block's other threads.
template <int kCount, int kLength, typename Element>
struct FlatVectors {
  static constexpr int kStride = kFlatThreads * kLength;
  Element* begin;
  Vector<std::remove_const_t<Element>, kLength> vectors[kCount];

  __device__ explicit FlatVectors(Element* from) : begin(from) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) vectors[i] = load<kLength>(begin + i * kStride);
  }
  __device__ void write_back(int i) const {
    if constexpr (!std::is_const_v<Element>) store(begin + i * kStride, vectors[i]);
  }
};

/// All are loaded before any is written: what a store may change is not loaded before it.
template <int kCount, int kLength, typename Use, typename... Elements>
__device__ void use_vectors(const Use& use, FlatVectors<kCount, kLength, Elements>... storages) {
  (all_begun(storages.vectors), ...);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
#pragma unroll
    for (int k = 0; k < kLength; ++k) use(storages.vectors[i].values[k]...);
    (storages.write_back(i), ...);
  }
}

/// Calls `use(a, b, ...)` for the elements at each of `length` places in these storages, of which those that are not
/// const it may change. All threads of a block must call it.
template <typename Use, typename Element, typename... Others>
__device__ void for_each_element(int length, const Use& use, Element* first, Others*... others) {
  constexpr int kVector = kVectorLength<std::remove_const_t<Element>>;
  constexpr int kStride = kFlatThreads * kVector;
  constexpr int kAtOnce = sizeof...(others) < 3 ? 4 : 2;  // of each storage: 8 loads on their way, or more
  const auto use_at = [&]<int kCount, int kLength>(int i) {
    use_vectors<kCount, kLength>(use, FlatVectors<kCount, kLength, Element>(first + i),
                                 FlatVectors<kCount, kLength, Others>(others + i)...);
  };
  const auto thread = static_cast<int>(threadIdx.x);
  const int head = vector_head<kVector>(length, first, others...);
#pragma unroll 1
  for (int i = thread; i < head; i += kFlatThreads) use_at.template operator()<1, 1>(i);
  const int tail = head + (length - head) / kVector * kVector;
  int i = head + thread * kVector;
#pragma unroll 1
  for (; i + (kAtOnce - 1) * kStride < tail; i += kAtOnce * kStride) use_at.template operator()<kAtOnce, kVector>(i);
#pragma unroll 1
  for (; i < tail; i += kStride) use_at.template operator()<1, kVector>(i);
  i = tail + thread;
  if (i < length) use_at.template operator()<1, 1>(i);  // fewer than a block has threads
}

}  // namespace lockstep::kernels::device

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

/// Calls `work.template operator()<n>(i)` for n consecutive elements from i on, so that the block covers [0, length):
/// kVector at a time behind the first `head`, where a vector is left.
template <int kVector, typename Work>
__device__ void for_each_vector(int length, int head, const Work& work) {
  const auto thread = static_cast<int>(threadIdx.x);
#pragma unroll 1
  for (int i = thread; i < head; i += kFlatThreads) work.template operator()<1>(i);
  const int tail = head + (length - head) / kVector * kVector;
#pragma unroll 4
  for (int i = head + thread * kVector; i < tail; i += kFlatThreads * kVector) work.template operator()<kVector>(i);
  if (const int i = tail + thread; i < length) work.template operator()<1>(i);  // fewer than a block has threads
}

}  // namespace lockstep::kernels::device

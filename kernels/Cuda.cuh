// What every CUDA source here shares: launching, element types, 16-byte accesses, sums over a warp and a block.
//
// The same sources also run on the CPU, in tests: there a header in place of cuda_runtime.h gives the qualifiers, index
// variables and intrinsics, and defines LOCKSTEP_SHARED, LOCKSTEP_START and LOCKSTEP_LAUNCH_ELEMENTS before they are
// defined here. For that
// - shared memory is declared by LOCKSTEP_SHARED and kernels are launched by launch();
// - no thread returns before a barrier that others of its block reach.
#pragma once

#include <cuda_runtime.h>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <string>
#include <type_traits>

#include "common/Error.h"
#include "kernels/CudaError.h"
#include "kernels/ElementTypes.h"
#include "kernels/Stream.h"

/// An array in shared memory. `type` is trivial; the contents are undefined until written.
#ifndef LOCKSTEP_SHARED
#define LOCKSTEP_SHARED(type, name, count) __shared__ type name[count]
#endif

#ifndef LOCKSTEP_START
#define LOCKSTEP_START(kernel, blocks, threads, stream, ...) kernel<<<blocks, threads, 0, stream>>>(__VA_ARGS__)
#endif

/// Elements that one launch of a kernel with 32-bit indexes works on, at most.
#ifndef LOCKSTEP_LAUNCH_ELEMENTS
#define LOCKSTEP_LAUNCH_ELEMENTS (std::int64_t{1} << 30)
#endif

namespace lockstep::kernels::device {

inline constexpr int kWarp = 32;
inline constexpr unsigned kFullWarp = 0xffffffffU;

/// Launches a one-dimensional grid; `name` is for the error. Nothing is launched for 0 blocks.
template <typename... Parameters>
void launch(const char* name, void (*kernel)(Parameters...), std::int64_t blocks, int threads, Stream stream,
            Parameters... arguments) {
  if (blocks == 0) return;
  constexpr std::int64_t kMostBlocks = 2147483647;
  if (blocks > kMostBlocks) throw InternalError(std::string(name) + " of " + std::to_string(blocks) + " blocks");
  LOCKSTEP_START(kernel, static_cast<unsigned>(blocks), static_cast<unsigned>(threads), stream, arguments...);
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) {
    throw_cuda_error(std::string("launching ") + name, error);
  }
}

constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// This thread's place in the whole grid.
__device__ inline std::int64_t grid_index() { return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

__device__ inline float to_arithmetic(float value) { return value; }
__device__ inline double to_arithmetic(double value) { return value; }
__device__ inline float to_arithmetic(BFloat16 value) { return __bfloat162float(__ushort_as_bfloat16(value.bits)); }
__device__ inline float to_arithmetic(Half value) { return __half2float(__ushort_as_half(value.bits)); }

/// Rounds to nearest, ties to even.
template <typename Element>
__device__ inline Element from_arithmetic(Arithmetic<Element> value) {
  return value;
}
template <>
__device__ inline BFloat16 from_arithmetic<BFloat16>(float value) {
  return {__bfloat16_as_ushort(__float2bfloat16_rn(value))};
}
template <>
__device__ inline Half from_arithmetic<Half>(float value) {
  return {__half_as_ushort(__float2half_rn(value))};
}

/// Consecutive elements that one instruction loads or stores.
template <typename Element, int kLength>
struct alignas(sizeof(Element) * kLength) Vector {
  Element values[kLength];
};

/// How many elements 16 bytes hold: the widest access of a thread.
template <typename Element>
inline constexpr int kVectorLength = 16 / static_cast<int>(sizeof(Element));

/// One access of kLength elements; `from` and `to` must be multiples of its size.
template <int kLength, typename Element>
__device__ inline Vector<Element, kLength> load(const Element* from) {
  return *reinterpret_cast<const Vector<Element, kLength>*>(from);
}
template <int kLength, typename Element>
__device__ inline void store(Element* to, const Vector<Element, kLength>& vector) {
  // An assignment of 16 bytes nvcc often makes four of.
  if constexpr (sizeof vector == sizeof(uint4)) {
    uint4 bits;
    memcpy(&bits, &vector, sizeof bits);
    __stwb(reinterpret_cast<uint4*>(to), bits);
  } else {
    *reinterpret_cast<Vector<Element, kLength>*>(to) = vector;
  }
}

/// Between the loads of `vectors` and what is computed of them: all loads before this have begun by then. To save
/// registers the compiler else waits for each before it begins the next.
template <int kCount, typename Bytes>
__device__ inline void all_begun(Bytes (&vectors)[kCount]) {
  for (Bytes& vector : vectors) {
    if constexpr (sizeof vector == sizeof(uint4)) {
      uint4 bits;
      memcpy(&bits, &vector, sizeof bits);
      asm volatile("" : "+r"(bits.x), "+r"(bits.y), "+r"(bits.z), "+r"(bits.w) : : "memory");
      memcpy(&vector, &bits, sizeof bits);
    }
  }
}

/// Whether `pointer` may be read by 16-byte accesses.
__host__ __device__ inline bool is_aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
}

/// The sum over a warp, in every lane, in an order that depends on nothing. All 32 lanes must call it.
template <typename Real>
__device__ inline Real warp_sum(Real value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(kFullWarp, value, offset);
  return value;
}

template <typename Real>
__device__ inline Real warp_max(Real value) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    const Real other = __shfl_xor_sync(kFullWarp, value, offset);
    value = other > value || other != other ? other : value;  // a NaN stays
  }
  return value;
}

/// The sum over a block of kThreads, in every thread. All threads must call it; it may be called again at once.
template <int kThreads, typename Real>
__device__ inline Real block_sum(Real value) {
  static_assert(kThreads % kWarp == 0 && kThreads <= 1024);
  LOCKSTEP_SHARED(Real, sums, kThreads / kWarp);
  value = warp_sum(value);
  __syncthreads();  // an earlier call's sums have been read
  if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = value;
  __syncthreads();
  Real total = 0;
  for (int warp = 0; warp < kThreads / kWarp; ++warp) total += sums[warp];
  return total;
}

}  // namespace lockstep::kernels::device

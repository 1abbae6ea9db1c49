// Stands in for CUDA's header where CUDA source is compiled as C++ and run by tests/kernels/emulator.
#pragma once

// CUDA's own headers that a host compiler can read; with their qualifiers, before ours take their names.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>
// As in CUDA, exp(float) and its like are there without std::.
#include <math.h>  // NOLINT(modernize-deprecated-headers)

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <source_location>

#include "tests/kernels/emulator/Emulator.h"
#include "tests/kernels/emulator/SharedArray.h"

#undef __global__
#undef __device__
#undef __host__
#undef __constant__
#undef __forceinline__
#undef __launch_bounds__
#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)

#define threadIdx (::lockstep::emulator::current().thread_index)
#define blockIdx (::lockstep::emulator::current().block_index)
#define blockDim (::lockstep::emulator::current().block_dim)
#define gridDim (::lockstep::emulator::current().grid_dim)

#define LOCKSTEP_SHARED(type, name, count) static ::lockstep::emulator::SharedArray<type> name(#name, count)
#define LOCKSTEP_START(kernel, blocks, threads, stream, ...) \
  ((void)(stream), ::lockstep::emulator::launch(dim3(blocks), dim3(threads), [&] { kernel(__VA_ARGS__); }))

inline void __syncthreads(std::source_location where = std::source_location::current()) {
  ::lockstep::emulator::block_barrier(where);
}
inline void __syncwarp(unsigned mask = 0xffffffffU, std::source_location where = std::source_location::current()) {
  ::lockstep::emulator::warp_exchange(::lockstep::emulator::WarpOperation::kBarrier, mask, 0, where);
}

namespace lockstep::emulator {

// What lane `source` of the caller's mask brought.
template <typename Value>
Value exchange(unsigned mask, Value value, unsigned source, std::source_location where) {
  static_assert(sizeof(Value) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  if ((mask >> source & 1U) == 0) fault("a shuffle from lane " + std::to_string(source) + ", outside its mask", where);
  const std::uint64_t* all = warp_exchange(WarpOperation::kExchange, mask, bits, where);
  std::memcpy(&value, all + source, sizeof value);
  return value;
}

inline unsigned lane() { return current().linear % 32; }

}  // namespace lockstep::emulator

template <typename Value>
Value __shfl_sync(unsigned mask, Value value, int source, int width = 32,
                  std::source_location where = std::source_location::current()) {
  const unsigned lane = ::lockstep::emulator::lane();
  const auto segment = static_cast<unsigned>(width);
  return ::lockstep::emulator::exchange(mask, value, lane / segment * segment + static_cast<unsigned>(source) % segment,
                                        where);
}
template <typename Value>
Value __shfl_xor_sync(unsigned mask, Value value, int lanes, int width = 32,
                      std::source_location where = std::source_location::current()) {
  const unsigned lane = ::lockstep::emulator::lane();
  const unsigned source = lane ^ static_cast<unsigned>(lanes);
  const auto segment = static_cast<unsigned>(width);
  return ::lockstep::emulator::exchange(mask, value, source / segment <= lane / segment ? source : lane, where);
}
template <typename Value>
Value __shfl_down_sync(unsigned mask, Value value, unsigned lanes, int width = 32,
                       std::source_location where = std::source_location::current()) {
  const unsigned lane = ::lockstep::emulator::lane();
  const auto segment = static_cast<unsigned>(width);
  return ::lockstep::emulator::exchange(mask, value, lane % segment + lanes < segment ? lane + lanes : lane, where);
}
template <typename Value>
Value __shfl_up_sync(unsigned mask, Value value, unsigned lanes, int width = 32,
                     std::source_location where = std::source_location::current()) {
  const unsigned lane = ::lockstep::emulator::lane();
  const auto segment = static_cast<unsigned>(width);
  return ::lockstep::emulator::exchange(mask, value, lane % segment >= lanes ? lane - lanes : lane, where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              std::source_location where = std::source_location::current()) {
  const std::uint64_t* all = ::lockstep::emulator::warp_exchange(::lockstep::emulator::WarpOperation::kExchange, mask,
                                                                 predicate != 0 ? 1 : 0, where);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane) votes |= (mask >> lane & 1U & static_cast<unsigned>(all[lane])) << lane;
  return votes;
}
inline int __any_sync(unsigned mask, int predicate, std::source_location where = std::source_location::current()) {
  return __ballot_sync(mask, predicate, where) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned mask, int predicate, std::source_location where = std::source_location::current()) {
  return __ballot_sync(mask, predicate, where) == mask ? 1 : 0;
}

// Threads take turns, so nothing comes between a read and a write here.
template <typename Value>
Value atomicAdd(Value* address, Value value) {
  const Value before = *address;
  *address = before + value;
  return before;
}
template <typename Value>
Value atomicMax(Value* address, Value value) {
  const Value before = *address;
  *address = std::max(before, value);
  return before;
}
template <typename Reference, typename Value>
auto atomicAdd(const Reference& shared, Value value) {
  return shared.atomically([&](auto before) { return static_cast<decltype(before)>(before + value); });
}

inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
inline float normcdff(float x) { return std::erfc(-x * 0.70710678F) / 2; }
inline double normcdf(double x) { return std::erfc(-x * 0.70710678118654752) / 2; }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
template <typename Value>
Value __ldg(const Value* address) {
  return *address;
}
template <typename Value>
void __stwb(Value* address, Value value, std::source_location where = std::source_location::current()) {
  if (reinterpret_cast<std::uintptr_t>(address) % alignof(Value) != 0) {
    ::lockstep::emulator::fault("a misaligned store", where);
  }
  std::memcpy(address, &value, sizeof value);
}
using std::max;
using std::min;

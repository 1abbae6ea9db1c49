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
#include <type_traits>

#include "tests/kernels/emulator/Emulator.h"
#include "tests/kernels/emulator/SharedArray.h"

#undef __global__
#undef __device__
#undef __host__
#undef __constant__
#undef __forceinline__
#undef __noinline__
#undef __launch_bounds__
#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)

#define threadIdx (::lockstep::emulator::current().thread_index)
#define blockIdx (::lockstep::emulator::current().block_index)
#define blockDim (::lockstep::emulator::current().block_dim)
#define gridDim (::lockstep::emulator::current().grid_dim)
inline constexpr int warpSize = 32;

#define LOCKSTEP_SHARED(type, name, count) static ::lockstep::emulator::SharedArray<type> name(#name, count)
#define LOCKSTEP_LAUNCH_ELEMENTS 500  // so few that small cases take several launches
#define LOCKSTEP_START(kernel, blocks, threads, stream, ...) \
  ((void)(stream), ::lockstep::emulator::launch(dim3(blocks), dim3(threads), [&] { kernel(__VA_ARGS__); }))

inline void __syncthreads(std::source_location where = std::source_location::current()) {
  ::lockstep::emulator::block_barrier("__syncthreads", false, where);
}
inline int __syncthreads_count(int predicate, std::source_location where = std::source_location::current()) {
  return ::lockstep::emulator::block_barrier("__syncthreads_count", predicate != 0, where);
}
inline int __syncthreads_or(int predicate, std::source_location where = std::source_location::current()) {
  return ::lockstep::emulator::block_barrier("__syncthreads_or", predicate != 0, where) > 0 ? 1 : 0;
}
inline int __syncthreads_and(int predicate, std::source_location where = std::source_location::current()) {
  return ::lockstep::emulator::block_barrier("__syncthreads_and", predicate == 0, where) == 0 ? 1 : 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffU, std::source_location where = std::source_location::current()) {
  ::lockstep::emulator::warp_barrier(mask, where);
}
// Memory is written in the order of the source here.
inline void __threadfence() {}
inline void __threadfence_block() {}

namespace lockstep::emulator {

inline unsigned lane() { return current().linear % 32; }

inline unsigned segment_length(const char* name, int width, std::source_location where) {
  if (width < 1 || width > 32 || !std::has_single_bit(static_cast<unsigned>(width))) {
    fault(name + (" of width " + std::to_string(width)), where);
  }
  return static_cast<unsigned>(width);
}

// What lane `source` of the caller's mask brought.
template <typename Value>
Value shuffle(const char* name, unsigned mask, Value value, unsigned source, std::source_location where) {
  static_assert(sizeof(Value) <= 8 && std::is_trivially_copyable_v<Value>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  if ((mask >> source & 1U) == 0) {
    fault(name + (" from lane " + std::to_string(source)) + ", outside its mask", where);
  }
  const std::uint64_t* all = warp_exchange(name, mask, bits, where);
  std::memcpy(&value, all + source, sizeof value);
  return value;
}

inline unsigned ballot(const char* name, unsigned mask, int predicate, std::source_location where) {
  const std::uint64_t* all = warp_exchange(name, mask, predicate != 0 ? 1 : 0, where);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane) votes |= (mask >> lane & 1U & static_cast<unsigned>(all[lane])) << lane;
  return votes;
}

// The mask's values joined, for 32-bit integers as in CUDA.
template <typename Value, typename Join>
Value reduce(const char* name, unsigned mask, Value value, std::source_location where, const Join& join) {
  static_assert(std::is_same_v<Value, int> || std::is_same_v<Value, unsigned>);
  const std::uint64_t* all = warp_exchange(name, mask, static_cast<unsigned>(value), where);
  auto result = static_cast<Value>(all[std::countr_zero(mask)]);
  for (int lane = std::countr_zero(mask) + 1; lane < 32; ++lane) {
    if ((mask >> lane & 1U) != 0) result = join(result, static_cast<Value>(all[lane]));
  }
  return result;
}

// Threads take turns, so nothing comes between a read and a write.
template <typename Value, typename Change>
Value change(Value* address, const Change& change) {
  const Value before = *address;
  *address = change(before);
  return before;
}
template <typename Reference, typename Change>
requires requires(const Reference& shared) { shared.operator&(); }
auto change(const Reference& shared, const Change& change) { return shared.atomically(change); }

}  // namespace lockstep::emulator

template <typename Value>
Value __shfl_sync(unsigned mask, Value value, int source, int width = 32,
                  std::source_location where = std::source_location::current()) {
  const unsigned segment = ::lockstep::emulator::segment_length("__shfl_sync", width, where);
  const unsigned first = ::lockstep::emulator::lane() / segment * segment;
  return ::lockstep::emulator::shuffle("__shfl_sync", mask, value, first + static_cast<unsigned>(source) % segment,
                                       where);
}
// From an earlier segment too, but not from a later one.
template <typename Value>
Value __shfl_xor_sync(unsigned mask, Value value, int lanes, int width = 32,
                      std::source_location where = std::source_location::current()) {
  const unsigned segment = ::lockstep::emulator::segment_length("__shfl_xor_sync", width, where);
  const unsigned lane = ::lockstep::emulator::lane();
  const unsigned source = lane ^ static_cast<unsigned>(lanes);
  return ::lockstep::emulator::shuffle("__shfl_xor_sync", mask, value,
                                       source / segment <= lane / segment ? source : lane, where);
}
template <typename Value>
Value __shfl_down_sync(unsigned mask, Value value, unsigned lanes, int width = 32,
                       std::source_location where = std::source_location::current()) {
  const unsigned segment = ::lockstep::emulator::segment_length("__shfl_down_sync", width, where);
  const unsigned lane = ::lockstep::emulator::lane();
  return ::lockstep::emulator::shuffle("__shfl_down_sync", mask, value,
                                       lanes < segment - lane % segment ? lane + lanes : lane, where);
}
template <typename Value>
Value __shfl_up_sync(unsigned mask, Value value, unsigned lanes, int width = 32,
                     std::source_location where = std::source_location::current()) {
  const unsigned segment = ::lockstep::emulator::segment_length("__shfl_up_sync", width, where);
  const unsigned lane = ::lockstep::emulator::lane();
  return ::lockstep::emulator::shuffle("__shfl_up_sync", mask, value, lanes <= lane % segment ? lane - lanes : lane,
                                       where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              std::source_location where = std::source_location::current()) {
  return ::lockstep::emulator::ballot("__ballot_sync", mask, predicate, where);
}
inline int __any_sync(unsigned mask, int predicate, std::source_location where = std::source_location::current()) {
  return ::lockstep::emulator::ballot("__any_sync", mask, predicate, where) != 0 ? 1 : 0;
}
inline int __all_sync(unsigned mask, int predicate, std::source_location where = std::source_location::current()) {
  return ::lockstep::emulator::ballot("__all_sync", mask, predicate, where) == mask ? 1 : 0;
}

#define LOCKSTEP_REDUCE(name, joined)                                                                                 \
  template <typename Value>                                                                                           \
  Value name(unsigned mask, Value value, std::source_location where = std::source_location::current()) {              \
    return ::lockstep::emulator::reduce(#name, mask, value, where, [](Value a, Value b) -> Value { return joined; }); \
  }
LOCKSTEP_REDUCE(__reduce_add_sync, static_cast<Value>(static_cast<unsigned>(a) + static_cast<unsigned>(b)))
LOCKSTEP_REDUCE(__reduce_min_sync, b < a ? b : a)
LOCKSTEP_REDUCE(__reduce_max_sync, a < b ? b : a)
LOCKSTEP_REDUCE(__reduce_and_sync, a& b)
LOCKSTEP_REDUCE(__reduce_or_sync, a | b)
LOCKSTEP_REDUCE(__reduce_xor_sync, a ^ b)
#undef LOCKSTEP_REDUCE

// `Address` is a pointer, or the address of an element of shared memory.
#define LOCKSTEP_ATOMIC(name, changed)                              \
  template <typename Address, typename Operand>                     \
  auto name(const Address& address, Operand operand) {              \
    return ::lockstep::emulator::change(address, [&](auto before) { \
      using Value = decltype(before);                               \
      const auto value = static_cast<Value>(operand);               \
      return static_cast<Value>(changed);                           \
    });                                                             \
  }
LOCKSTEP_ATOMIC(atomicAdd, before + value)
LOCKSTEP_ATOMIC(atomicSub, before - value)
LOCKSTEP_ATOMIC(atomicMin, value < before ? value : before)
LOCKSTEP_ATOMIC(atomicMax, before < value ? value : before)
LOCKSTEP_ATOMIC(atomicAnd, before& value)
LOCKSTEP_ATOMIC(atomicOr, before | value)
LOCKSTEP_ATOMIC(atomicXor, before ^ value)
LOCKSTEP_ATOMIC(atomicExch, value)
#undef LOCKSTEP_ATOMIC
template <typename Address, typename Operand>
auto atomicCAS(const Address& address, Operand compare, Operand value) {
  return ::lockstep::emulator::change(address, [&](auto before) { return before == compare ? value : before; });
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

// Loads and stores that say how long the cache should keep the line.
#define LOCKSTEP_LOAD(name)          \
  template <typename Value>          \
  Value name(const Value* address) { \
    return *address;                 \
  }
LOCKSTEP_LOAD(__ldg)
LOCKSTEP_LOAD(__ldca)
LOCKSTEP_LOAD(__ldcg)
LOCKSTEP_LOAD(__ldcs)
LOCKSTEP_LOAD(__ldlu)
LOCKSTEP_LOAD(__ldcv)
#undef LOCKSTEP_LOAD
#define LOCKSTEP_STORE(name)                                     \
  template <typename Value>                                      \
  void name(Value* address, std::type_identity_t<Value> value) { \
    *address = value;                                            \
  }
LOCKSTEP_STORE(__stwb)
LOCKSTEP_STORE(__stcg)
LOCKSTEP_STORE(__stcs)
LOCKSTEP_STORE(__stwt)
#undef LOCKSTEP_STORE

using std::max;
using std::min;

#include "kernels/flat_copy/FlatCopy.h"

#include "kernels/FlatLoop.cuh"

namespace lockstep::kernels {

namespace {

using namespace device;

// A pointer out of a table could lead to any memory, and accesses would not be joined into vectors.
template <typename Element>
__device__ Element* global(Element* pointer) {
#ifdef __CUDACC__
  __builtin_assume(__isGlobal(pointer));
#endif
  return pointer;
}

template <typename From, typename To, int kLength>
__device__ Vector<To, kLength> convert(const Vector<From, kLength>& in, Product<From, To> scale) {
  Vector<To, kLength> out;
  for (int k = 0; k < kLength; ++k) {
    const auto value = static_cast<Product<From, To>>(to_arithmetic(in.values[k]));
    out.values[k] = from_arithmetic<To>(static_cast<Arithmetic<To>>(value * scale));
  }
  return out;
}

template <typename From, typename To>
__device__ void copy(const From* from, To* to, int length, const double* scale_pointer) {
  // 16 bytes of the wider type: both sides are then read and written without gaps between a warp's threads.
  constexpr int kVector = sizeof(From) > sizeof(To) ? kVectorLength<From> : kVectorLength<To>;
  constexpr int kStride = kFlatThreads * kVector;
  constexpr int kBatch = kVector == 8 ? 2 : 4;
  const auto scale = static_cast<Product<From, To>>(scale_pointer == nullptr ? 1 : *scale_pointer);
  // A whole piece at once where it is aligned: all loads are on their way before the first store.
  int done = 0;
  if (vector_head<kVector>(length, from, to) == 0) {
    for (; length - done >= kBatch * kStride; done += kBatch * kStride) {
      const int first = done + static_cast<int>(threadIdx.x) * kVector;
      Vector<From, kVector> in[kBatch];
      for (int b = 0; b < kBatch; ++b) in[b] = load<kVector>(from + first + b * kStride);
      for (int b = 0; b < kBatch; ++b) store(to + first + b * kStride, convert<From, To>(in[b], scale));
    }
  }
  from += done;
  to += done;
  length -= done;
  for_each_vector<kVector>(length, vector_head<kVector>(length, from, to), [&]<int kLength>(int i) {
    store(to + i, convert<From, To>(load<kLength>(from + i), scale));
  });
}

template <typename From, typename To>
__global__ void __launch_bounds__(kFlatThreads) pack_kernel(Pack<From, To> args) {
  const Piece piece = args.pieces[blockIdx.x];
  const FlatTensor<const From> tensor = args.tensors[piece.segment];
  copy(global(tensor.data + (piece.begin - tensor.offset)), args.flat + piece.begin, piece.length, args.scale);
}

template <typename From, typename To>
__global__ void __launch_bounds__(kFlatThreads) unpack_kernel(Unpack<From, To> args) {
  const Piece piece = args.pieces[blockIdx.x];
  const FlatTensor<To> tensor = args.tensors[piece.segment];
  copy(args.flat + piece.begin, global(tensor.data + (piece.begin - tensor.offset)), piece.length, args.scale);
}

}  // namespace

template <typename From, typename To>
void pack(const Pack<From, To>& args, Stream stream) {
  launch("pack", pack_kernel<From, To>, args.piece_count, kFlatThreads, stream, args);
}

template <typename From, typename To>
void unpack(const Unpack<From, To>& args, Stream stream) {
  launch("unpack", unpack_kernel<From, To>, args.piece_count, kFlatThreads, stream, args);
}

#define LOCKSTEP_INSTANTIATE(From, To)               \
  template void pack(const Pack<From, To>&, Stream); \
  template void unpack(const Unpack<From, To>&, Stream);
LOCKSTEP_FOR_EACH_FLAT_PAIR(LOCKSTEP_INSTANTIATE)

}  // namespace lockstep::kernels

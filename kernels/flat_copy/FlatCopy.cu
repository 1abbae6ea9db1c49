#include "kernels/flat_copy/FlatCopy.h"

#include "kernels/FlatLoop.cuh"

namespace lockstep::kernels {

namespace {

using namespace device;

template <typename From, typename To>
__device__ void copy(const From* __restrict__ from, To* __restrict__ to, int length, const double* scale_pointer) {
  // 16 bytes of the wider type: both sides are then read and written without gaps between a warp's threads.
  constexpr int kVector = sizeof(From) > sizeof(To) ? kVectorLength<From> : kVectorLength<To>;
  const auto scale = static_cast<Product<From, To>>(scale_pointer == nullptr ? 1 : *scale_pointer);
  for_each_vector<kVector>(length, vector_head<kVector>(length, from, to), [&]<int kLength>(int i) {
    const auto in = load<kLength>(from + i);
    Vector<To, kLength> out;
    for (int k = 0; k < kLength; ++k) {
      const auto value = static_cast<Product<From, To>>(to_arithmetic(in.values[k]));
      out.values[k] = from_arithmetic<To>(static_cast<Arithmetic<To>>(value * scale));
    }
    store(to + i, out);
  });
}

template <typename From, typename To>
__global__ void __launch_bounds__(kFlatThreads) pack_kernel(Pack<From, To> args) {
  const Piece piece = args.pieces[blockIdx.x];
  const FlatTensor<const From> tensor = args.tensors[piece.segment];
  copy(tensor.data + (piece.begin - tensor.offset), args.flat + piece.begin, piece.length, args.scale);
}

template <typename From, typename To>
__global__ void __launch_bounds__(kFlatThreads) unpack_kernel(Unpack<From, To> args) {
  const Piece piece = args.pieces[blockIdx.x];
  const FlatTensor<To> tensor = args.tensors[piece.segment];
  copy(args.flat + piece.begin, tensor.data + (piece.begin - tensor.offset), piece.length, args.scale);
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

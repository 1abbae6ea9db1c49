#include "kernels/flat_copy/FlatCopy.h"

#include "kernels/FlatLoop.h"

namespace lockstep::kernels {

namespace {

template <typename From, typename To>
LOCKSTEP_INLINE void convert(const From* __restrict from, To* __restrict to, std::int64_t n, Product<From, To> scale) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto value = static_cast<Product<From, To>>(to_arithmetic(from[i]));
    to[i] = from_arithmetic<To>(static_cast<Arithmetic<To>>(value * scale));
  }
}

#define LOCKSTEP_COPY(From, To)                                                             \
  LOCKSTEP_MULTIVERSION void copy(const From* from, To* to, std::int64_t n, double scale) { \
    convert(from, to, n, static_cast<Product<From, To>>(scale));                            \
  }
LOCKSTEP_FOR_EACH_FLAT_PAIR(LOCKSTEP_COPY)
#undef LOCKSTEP_COPY

}  // namespace

template <typename From, typename To>
void pack(const Pack<From, To>& args) {
  const double scale = args.scale == nullptr ? 1 : *args.scale;
  for_each_piece(args.pieces, args.piece_count, [&](std::int64_t, const Piece& piece) {
    const FlatTensor<const From>& tensor = args.tensors[piece.segment];
    copy(tensor.data + (piece.begin - tensor.offset), args.flat + piece.begin, piece.length, scale);
  });
}

template <typename From, typename To>
void unpack(const Unpack<From, To>& args) {
  const double scale = args.scale == nullptr ? 1 : *args.scale;
  for_each_piece(args.pieces, args.piece_count, [&](std::int64_t, const Piece& piece) {
    const FlatTensor<To>& tensor = args.tensors[piece.segment];
    copy(args.flat + piece.begin, tensor.data + (piece.begin - tensor.offset), piece.length, scale);
  });
}

#define LOCKSTEP_INSTANTIATE(From, To)       \
  template void pack(const Pack<From, To>&); \
  template void unpack(const Unpack<From, To>&);
LOCKSTEP_FOR_EACH_FLAT_PAIR(LOCKSTEP_INSTANTIATE)
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep::kernels

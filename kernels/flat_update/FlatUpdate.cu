#include "kernels/flat_update/FlatUpdate.h"

#include <utility>

#include "kernels/FlatLoop.cuh"
#include "kernels/flat_update/Formulas.h"

namespace lockstep::kernels {

namespace {

using namespace device;

// The formula of a block's segment. One thread makes it, of numbers in float64.
template <typename Formula>
__device__ Formula block_formula(const FlatUpdate<Formula>& args, const Segment& segment) {
  LOCKSTEP_SHARED(Formula, shared, 1);
  if (threadIdx.x == 0) shared[0] = Formula::of(args.options, segment, *args.step);
  __syncthreads();
  return shared[0];
}

template <typename Formula, std::size_t... kState>
__device__ void update_piece(const FlatUpdate<Formula>& args, const Piece& piece, const Formula& formula,
                             std::index_sequence<kState...>) {
  for_each_element(piece.length, formula, args.parameters + piece.begin, args.gradients + piece.begin,
                   (args.states[kState] + piece.state)...);
}

// The bound on blocks keeps nvcc from spilling to stay below 64 registers.
template <typename Formula>
__global__ void __launch_bounds__(kFlatThreads, 2) flat_update_kernel(FlatUpdate<Formula> args) {
  const Piece piece = args.work.pieces[blockIdx.x];
  const Segment& segment = args.work.segments[piece.segment];
  if (args.step->skip || segment.skip) return;
  update_piece(args, piece, block_formula(args, segment), std::make_index_sequence<Formula::kStates>());
}

}  // namespace

template <typename Formula>
void flat_update(const FlatUpdate<Formula>& args, Stream stream) {
  launch("flat_update", flat_update_kernel<Formula>, args.work.piece_count, kFlatThreads, stream, args);
}

#define LOCKSTEP_INSTANTIATE(Formula)                                   \
  template void flat_update(const FlatUpdate<Formula<float>>&, Stream); \
  template void flat_update(const FlatUpdate<Formula<double>>&, Stream);
LOCKSTEP_FOR_EACH_FLAT_FORMULA(LOCKSTEP_INSTANTIATE)
#undef LOCKSTEP_INSTANTIATE

}  // namespace lockstep::kernels

// How CPU forms walk over flat storage: pieces, in parallel.
#pragma once

#include "kernels/CpuElements.h"
#include "kernels/FlatWork.h"

namespace lockstep::kernels {

/// Calls `work(i, pieces[i])` for all of them, in parallel.
template <typename Work>
void for_each_piece(const Piece* pieces, std::int64_t count, const Work& work) {
#pragma omp parallel for schedule(static) if (count > 1)
  for (std::int64_t i = 0; i < count; ++i) work(i, pieces[i]);
}

/// Calls `work(i, piece, segment)` for the pieces of segments that are not skipped.
template <typename Work>
void for_each_piece(const FlatWork& flat, const Work& work) {
  for_each_piece(flat.pieces, flat.piece_count, [&](std::int64_t i, const Piece& piece) {
    const Segment& segment = flat.segments[piece.segment];
    if (!segment.skip) work(i, piece, segment);
  });
}

}  // namespace lockstep::kernels

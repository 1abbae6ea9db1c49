// How flat operators walk over their storage: pieces of segments, in parallel, the same pieces for any number
// of threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/CpuElements.h"
#include "kernels/Segment.h"

namespace lockstep::kernels {

/// A part of one segment that one thread works on at a time: 64 KiB of float32 stay in a core's second-level
/// cache.
struct Piece {
  const Segment* segment;
  std::int64_t begin;  ///< in elements from the start of the flat storage
  std::int64_t length;
};

inline constexpr std::int64_t kPieceLength = 16384;

/// The pieces of all segments that are not skipped, in order.
inline std::vector<Piece> pieces_of(std::span<const Segment> segments) {
  std::vector<Piece> pieces;
  for (const Segment& segment : segments) {
    if (segment.skip) continue;
    for (std::int64_t done = 0; done < segment.length; done += kPieceLength) {
      pieces.push_back({&segment, segment.offset + done, std::min(kPieceLength, segment.length - done)});
    }
  }
  return pieces;
}

/// Calls `work(i, piece)` for the i-th of `pieces`, for all of them, in parallel.
template <typename Work>
void for_each_piece(std::span<const Piece> pieces, const Work& work) {
#pragma omp parallel for schedule(static) if (pieces.size() > 1)
  for (std::size_t i = 0; i < pieces.size(); ++i) work(i, pieces[i]);
}

}  // namespace lockstep::kernels

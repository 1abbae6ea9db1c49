// What operators over flat storage walk over: pieces of segments. The list is made once per layout, and is the same for
// any number of threads or blocks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "kernels/Segment.h"

namespace lockstep::kernels {

/// A part of one segment that one thread, or one block, works on.
struct Piece {
  std::int64_t begin;    ///< in elements from the start of the flat storage
  std::int32_t length;   ///< in elements
  std::int32_t segment;  ///< index
  std::int64_t state;    ///< where its state begins, in elements, in the storages of an optimizer's own
};

/// A part of flat storage that somebody works on. Of it alone there is state, that of one range behind another's.
struct FlatRange {
  std::int64_t begin = 0;                                          ///< in elements from the start of the flat storage
  std::int64_t length = std::numeric_limits<std::int64_t>::max();  ///< in elements; by default all that follows
  std::int64_t state = 0;                                          ///< where its state begins, in elements
};

/// 64 KiB of float32 stay in a core's second-level cache.
inline constexpr std::int32_t kCpuPieceLength = 16384;
/// Blocks enough for all multiprocessors, and to even out their ends, from a few million elements on.
inline constexpr std::int32_t kCudaPieceLength = 4096;

/// The pieces of what of all segments lies in `ranges`, also of those that are skipped, in order. `segments`: of what
/// has an offset and a length. `ranges`: in order, and none meets another.
template <typename Segments>
std::vector<Piece> pieces_of(const Segments& segments, std::int32_t piece_length, std::span<const FlatRange> ranges) {
  std::vector<Piece> pieces;
  std::int32_t index = 0;
  for (const auto& segment : segments) {
    for (const FlatRange& range : ranges) {
      const std::int64_t begin = std::max<std::int64_t>(segment.offset, range.begin);
      const std::int64_t length =
          std::min<std::int64_t>(segment.offset + segment.length - begin, range.begin - begin + range.length);
      for (std::int64_t done = 0; done < length; done += piece_length) {
        pieces.push_back({begin + done, static_cast<std::int32_t>(std::min<std::int64_t>(length - done, piece_length)),
                          index, range.state + (begin + done - range.begin)});
      }
    }
    ++index;
  }
  return pieces;
}

/// The pieces of whole segments.
template <typename Segments>
std::vector<Piece> pieces_of(const Segments& segments, std::int32_t piece_length) {
  constexpr FlatRange kAll[] = {FlatRange{}};
  return pieces_of(segments, piece_length, kAll);
}

/// The tables of an operator, in the memory that its form can read.
struct FlatWork {
  const Segment* segments;
  const Piece* pieces;  ///< of these segments, in order
  std::int64_t piece_count;
};

}  // namespace lockstep::kernels

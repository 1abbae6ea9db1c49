// What operators over flat storage walk over: pieces of segments. The list is made once per layout, and is the same for
// any number of threads or blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/Segment.h"

namespace lockstep::kernels {

/// A part of one segment that one thread, or one block, works on.
struct Piece {
  std::int64_t begin;    ///< in elements from the start of the flat storage
  std::int32_t length;   ///< in elements
  std::int32_t segment;  ///< index
};

/// 64 KiB of float32 stay in a core's second-level cache.
inline constexpr std::int32_t kCpuPieceLength = 16384;
/// Blocks enough for all multiprocessors, and to even out their ends, from a few million elements on.
inline constexpr std::int32_t kCudaPieceLength = 4096;

/// The pieces of all segments, also of those that are skipped, in order. A Range of what has an offset and a length.
template <typename Range>
std::vector<Piece> pieces_of(const Range& segments, std::int32_t piece_length) {
  std::vector<Piece> pieces;
  std::int32_t index = 0;
  for (const auto& segment : segments) {
    for (std::int64_t done = 0; done < segment.length; done += piece_length) {
      const std::int64_t rest = segment.length - done;
      pieces.push_back(
          {segment.offset + done, rest < piece_length ? static_cast<std::int32_t>(rest) : piece_length, index});
    }
    ++index;
  }
  return pieces;
}

/// The tables of an operator, in the memory that its form can read.
struct FlatWork {
  const Segment* segments;
  const Piece* pieces;  ///< of these segments, in order
  std::int64_t piece_count;
};

}  // namespace lockstep::kernels

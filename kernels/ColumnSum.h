// How operators sum over rows without atomics, so that the sum has one order: a chunk of rows is summed into one row of
// a workspace, then the workspace's rows are summed. CPU and CUDA forms share the split.
#pragma once

#include <cstdint>

namespace lockstep::kernels {

/// At most so many chunks, of at least so many rows: three blocks for nearly each of an H100's 132 multiprocessors at
/// once, and little to sum afterwards.
inline constexpr std::int64_t kMostRowChunks = 384;
inline constexpr std::int64_t kLeastChunkRows = 16;

constexpr std::int64_t rows_per_chunk(std::int64_t rows) {
  // Not std::max: it would take the address of a constant that device code does not have, and nvcc then makes a trap
  // of the whole kernel without a word.
  const std::int64_t even = (rows + kMostRowChunks - 1) / kMostRowChunks;
  return even > kLeastChunkRows ? even : kLeastChunkRows;
}

constexpr std::int64_t row_chunks(std::int64_t rows) {
  return (rows + rows_per_chunk(rows) - 1) / rows_per_chunk(rows);
}

/// Elements of a workspace for one sum over the rows of [rows, columns].
constexpr std::int64_t column_sum_workspace(std::int64_t rows, std::int64_t columns) {
  return row_chunks(rows) * columns;
}

}  // namespace lockstep::kernels

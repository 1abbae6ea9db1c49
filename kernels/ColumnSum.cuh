// The CUDA form of ColumnSum.h's sums, and the blocks that walk over [rows, columns] for them.
#pragma once

#include "kernels/ColumnSum.h"
#include "kernels/Cuda.cuh"

namespace lockstep::kernels::device {

inline constexpr int kTileThreads = 256;

/// How a grid covers [rows, columns]: a block has one chunk of rows and kTileThreads / row_lanes vectors of columns, so
/// that a thread stays in its columns while it goes down the rows.
struct TileGrid {
  std::int64_t rows, columns;
  int vector;     ///< elements a thread handles at once
  int row_lanes;  ///< rows a block handles at once, a power of 2
  std::int64_t column_tiles;

  __host__ __device__ int column_lanes() const { return kTileThreads / row_lanes; }
  __host__ std::int64_t blocks() const { return column_tiles * row_chunks(rows); }
};

inline TileGrid tile_grid(std::int64_t rows, std::int64_t columns, int vector) {
  int column_lanes = 1;
  while (column_lanes < kTileThreads && column_lanes * vector < columns) column_lanes *= 2;
  return {rows, columns, vector, kTileThreads / column_lanes,
          divide_up(columns, static_cast<std::int64_t>(column_lanes) * vector)};
}

/// A thread's part of a TileGrid.
struct Tile {
  std::int64_t chunk, column, row_begin, row_end;
  int row_lane;
  __device__ explicit Tile(const TileGrid& grid)
      : chunk(blockIdx.x / grid.column_tiles),
        column((blockIdx.x % grid.column_tiles * grid.column_lanes() + threadIdx.x % grid.column_lanes()) *
               grid.vector),
        row_begin(chunk * rows_per_chunk(grid.rows)),
        row_end(row_begin + rows_per_chunk(grid.rows) < grid.rows ? row_begin + rows_per_chunk(grid.rows) : grid.rows),
        row_lane(static_cast<int>(threadIdx.x) / grid.column_lanes()) {}
};

/// Adds up the row lanes' sums of a block's columns and writes them to the chunk's row of the workspace. All threads
/// of the block must call it; it may be called again at once.
template <int kVector, typename Real>
__device__ inline void write_chunk_sums(const TileGrid& grid, const Tile& tile, const Real (&sums)[kVector],
                                        Real* workspace) {
  LOCKSTEP_SHARED(Real, shared, kVector * kTileThreads);
  __syncthreads();  // an earlier call's sums have been read
  for (int v = 0; v < kVector; ++v) shared[v * kTileThreads + threadIdx.x] = sums[v];
  __syncthreads();
  if (tile.row_lane != 0 || tile.column >= grid.columns) return;
  for (int v = 0; v < kVector; ++v) {
    Real total = 0;
    for (int lane = 0; lane < grid.row_lanes; ++lane) {
      total += shared[v * kTileThreads + lane * grid.column_lanes() + threadIdx.x];
    }
    workspace[tile.chunk * grid.columns + tile.column + v] = total;
  }
}

template <typename Real>
__global__ void sum_row_chunks_kernel(const Real* workspace, std::int64_t chunks, std::int64_t columns, Real* result) {
  constexpr int kLanes = kTileThreads / kWarp;
  LOCKSTEP_SHARED(Real, sums, kTileThreads);
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kWarp + threadIdx.x % kWarp;
  Real sum = 0;
  if (column < columns) {
    for (std::int64_t chunk = threadIdx.x / kWarp; chunk < chunks; chunk += kLanes) {
      sum += workspace[chunk * columns + column];
    }
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x < kWarp && column < columns) {
    Real total = 0;
    for (int lane = 0; lane < kLanes; ++lane) total += sums[lane * kWarp + threadIdx.x];
    result[column] = total;
  }
}

/// result[column] = the sum of the workspace's rows; 0 where there are none.
template <typename Real>
void sum_row_chunks(const Real* workspace, std::int64_t rows, std::int64_t columns, Real* result, Stream stream) {
  launch("sum_row_chunks", sum_row_chunks_kernel<Real>, divide_up(columns, kWarp), kTileThreads, stream, workspace,
         row_chunks(rows), columns, result);
}

}  // namespace lockstep::kernels::device

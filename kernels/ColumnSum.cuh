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
  // 3072 columns of 16 bits are 1 1/2 times 256 lanes of 8, and 3 times 128.
  const std::int64_t half = column_lanes / 2 * vector;
  if (column_lanes == kTileThreads && divide_up(columns, half) % 2 == 1) column_lanes /= 2;
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

/// Adds up the sums of a block's row lanes; thread i is in row lane i / column_lanes. A thread of lane 0 writes those
/// of its columns to `to`, unless that is nullptr. All threads of the block must call it; it may be called again at
/// once.
template <int kThreads, int kVector, typename Real>
__device__ inline void write_lane_sums(int column_lanes, const Real (&sums)[kVector], Real* to) {
  LOCKSTEP_SHARED(Real, shared, kVector * kThreads);
  __syncthreads();  // an earlier call's sums have been read
  for (int v = 0; v < kVector; ++v) shared[v * kThreads + threadIdx.x] = sums[v];
  __syncthreads();
  if (static_cast<int>(threadIdx.x) >= column_lanes || to == nullptr) return;
  for (int v = 0; v < kVector; ++v) {
    Real total = 0;
    for (int lane = 0; lane < kThreads / column_lanes; ++lane) {
      total += shared[v * kThreads + lane * column_lanes + threadIdx.x];
    }
    to[v] = total;
  }
}

/// Writes the sums of a block's columns to its chunk's row of the workspace. All threads of the block must call it.
template <int kVector, typename Real>
__device__ inline void write_chunk_sums(const TileGrid& grid, const Tile& tile, const Real (&sums)[kVector],
                                        Real* workspace) {
  Real* const to = workspace + tile.chunk * grid.columns + tile.column;
  write_lane_sums<kTileThreads>(grid.column_lanes(), sums, tile.column < grid.columns ? to : nullptr);
}

/// A sum over a workspace's rows that one launch does beside others.
template <typename Real>
struct ColumnSum {
  const Real* workspace;
  Real* result;
};
template <int kSums, typename Real>
struct ColumnSums {
  ColumnSum<Real> sums[kSums];
};

template <int kSums, typename Real>
__global__ void sum_row_chunks_kernel(ColumnSums<kSums, Real> sums, std::int64_t chunks, std::int64_t columns) {
  constexpr int kLanes = kTileThreads / kWarp;
  LOCKSTEP_SHARED(Real, lane_sums, kTileThreads);
  const std::int64_t blocks = divide_up(columns, kWarp);
  ColumnSum<Real> mine = sums.sums[0];
  for (int i = 1; i < kSums; ++i) mine = blockIdx.x >= i * blocks ? sums.sums[i] : mine;
  const std::int64_t column = blockIdx.x % blocks * kWarp + threadIdx.x % kWarp;
  Real sum = 0;
  if (column < columns) {
    for (std::int64_t chunk = threadIdx.x / kWarp; chunk < chunks; chunk += kLanes) {
      sum += mine.workspace[chunk * columns + column];
    }
  }
  lane_sums[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x < kWarp && column < columns) {
    Real total = 0;
    for (int lane = 0; lane < kLanes; ++lane) total += lane_sums[lane * kWarp + threadIdx.x];
    mine.result[column] = total;
  }
}

/// results[i][column] = the sum of the rows of the i-th of kSums workspaces, one behind the other; 0 where there are
/// none. A result that is nullptr is not wanted.
template <int kSums, typename Real>
void sum_row_chunks(const Real* workspace, std::int64_t rows, std::int64_t columns, Real* const (&results)[kSums],
                    Stream stream) {
  ColumnSums<kSums, Real> wanted = {};
  int count = 0;
  for (int i = 0; i < kSums; ++i) {
    if (results[i] == nullptr) continue;
    wanted.sums[count++] = {workspace + i * column_sum_workspace(rows, columns), results[i]};
  }
  launch("sum_row_chunks", sum_row_chunks_kernel<kSums, Real>, count * divide_up(columns, kWarp), kTileThreads, stream,
         wanted, row_chunks(rows), columns);
}

}  // namespace lockstep::kernels::device

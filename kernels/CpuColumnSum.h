// The CPU form of ColumnSum.h's sums.
#pragma once

#include <algorithm>

#include "kernels/ColumnSum.h"
#include "kernels/CpuElements.h"

namespace lockstep::kernels {

/// Calls `work(chunk, first row, row behind the last)` for every chunk, in parallel.
template <typename Work>
void for_each_row_chunk(std::int64_t rows, std::int64_t columns, const Work& work) {
  const std::int64_t chunks = row_chunks(rows);
#pragma omp parallel for schedule(static) if (rows * columns > kSerialElements)
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t begin = chunk * rows_per_chunk(rows);
    work(chunk, begin, std::min(rows, begin + rows_per_chunk(rows)));
  }
}

/// result[column] = the sum of the workspace's rows; 0 where there are none.
template <typename Real>
void sum_row_chunks(const Real* workspace, std::int64_t rows, std::int64_t columns, Real* result) {
  std::fill_n(result, columns, Real(0));
  for (std::int64_t chunk = 0; chunk < row_chunks(rows); ++chunk) {
    for (std::int64_t column = 0; column < columns; ++column) result[column] += workspace[chunk * columns + column];
  }
}

}  // namespace lockstep::kernels

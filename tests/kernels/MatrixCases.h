// The cases of operators on a row-major [rows, columns].
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/kernels/Forms.h"

namespace lockstep::kernels {

struct MatrixCase {
  std::int64_t rows, columns;
};

/// Nothing, one element, and both sides of: a vector (8), a warp (32), a block (256), a chunk of rows (16).
inline std::vector<MatrixCase> matrix_cases() {
  return {{0, 8},  {1, 1},   {1, 8},   {3, 7},    {2, 31},   {5, 32},  {4, 33},  {17, 16},
          {33, 3}, {16, 64}, {2, 255}, {1, 2056}, {3, 1025}, {300, 5}, {50, 136}};
}

using Elements = testing::Types<float, double, BFloat16, Half>;

/// Calls `check(form, case, placement)` for all of them, and says which one is meant when a check fails.
template <typename Check>
void for_each_matrix_case(const Check& check) {
  for (const auto& form : forms()) {
    for (const MatrixCase& matrix : matrix_cases()) {
      for (const Placement placement : placements()) {
        SCOPED_TRACE(form->name() + ", " + std::to_string(matrix.rows) + " x " + std::to_string(matrix.columns) +
                     placement.name());
        check(*form, matrix, placement);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

}  // namespace lockstep::kernels

// Columns of Parquet files that hold one number in a row, read from their pages without Arrow's arrays in between.
#pragma once

#include <parquet/file_reader.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/ElementType.h"

namespace lockstep {

/// Gives the numbers of one row after another, over all row groups: `read`, then look at what was read.
class FlatColumn {
 public:
  virtual ~FlatColumn() = default;

  /// The next `rows` rows. Throws what Arrow throws, and std::runtime_error for a row group that has other rows than it
  /// says.
  virtual void read(std::int64_t rows) = 0;
  /// One number a row, as stored; any where there is none. Good until the next call.
  virtual std::span<const std::byte> numbers() const = 0;
  /// By row; empty where each has a value.
  const std::vector<bool>& missing() const { return missing_; }

 protected:
  std::vector<bool> missing_{};
};

/// The column of so many among the leaves of the file's schema; null when it is no such one, or holds other bytes than
/// numbers of `type`. Keeps a reference to the file.
std::unique_ptr<FlatColumn> flat_column(parquet::ParquetFileReader& file, int leaf, ElementType type);

}  // namespace lockstep

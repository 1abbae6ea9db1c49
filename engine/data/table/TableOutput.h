// A table that is written row by row.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/ElementType.h"

namespace lockstep {

/// Of numbers: kInt64, kFloat or kDouble.
struct OutputColumn {
  std::string name;
  ElementType type;
};

/// A file of named columns that is being written. Call `write` for each row, then `close`: a file that is destroyed
/// without it is incomplete. Throws SystemError naming the path.
class TableOutput {
 public:
  virtual ~TableOutput() = default;

  /// A number for each column, in their order; those of kInt64 are whole, and less than 2^53 in size.
  virtual void write(std::span<const double> row) = 0;
  virtual void close() = 0;
};

}  // namespace lockstep

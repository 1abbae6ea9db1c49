// A table that is written row by row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/ElementType.h"

namespace lockstep {

/// Of numbers: kInt64, kFloat or kDouble.
struct OutputColumn {
  std::string name;
  ElementType type;
  /// Of kInt64: the texts that are written in place of 0, 1, …; a number beyond them is written as its digits. Empty:
  /// the numbers are.
  std::vector<std::string> texts{};

  std::string text_of(double number) const {
    const auto place = static_cast<std::int64_t>(number);
    return place >= 0 && std::cmp_less(place, texts.size()) ? texts[static_cast<std::size_t>(place)]
                                                            : std::to_string(place);
  }
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

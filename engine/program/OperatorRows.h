// The traits of PyTorch's operators.
#pragma once

#include <string_view>
#include <vector>

#include "engine/program/OperatorTraits.h"

namespace lockstep {

/// ATen operators of which the same is known.
struct OperatorRow {
  std::string_view names;  ///< without overload, with spaces between them
  OperatorTraits traits;
};

/// An operator's name stands in one row.
std::vector<OperatorRow> aten_operator_rows();

}  // namespace lockstep

// What each ATen operator is in primitives: one row an operator, in a file of its family in rows/.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "engine/artifacts/primitives/NodeArguments.h"

namespace lockstep {

/// Elementwise, of the argument `self` in the type of the result.
using ElementwiseRow = Term (*)(const Term& x);
using PrimitiveRow = std::variant<ElementwiseRow, Term (*)(NodeArguments&), std::vector<Term> (*)(NodeArguments&)>;
/// By name, `conv2d`, for all overloads, or `max.dim` for one. Operators in place (`add_`) have the rows of those that
/// are not. A row that returns fewer tensors than its operator leaves out the last ones.
using PrimitiveRows = std::map<std::string, PrimitiveRow>;

/// All of them.
const PrimitiveRows& primitive_rows();

/// The row of a node's operator, or nullptr.
const PrimitiveRow* find_primitive_row(const Node& node);

PrimitiveRows activation_rows();
PrimitiveRows arithmetic_rows();
PrimitiveRows attention_rows();
PrimitiveRows comparison_rows();
PrimitiveRows convolution_rows();
PrimitiveRows creation_rows();
PrimitiveRows einsum_rows();
PrimitiveRows index_rows();
PrimitiveRows loss_rows();
PrimitiveRows normalization_rows();
PrimitiveRows pool_rows();
PrimitiveRows product_rows();
PrimitiveRows recurrent_rows();
PrimitiveRows reduction_rows();
PrimitiveRows resize_rows();
PrimitiveRows shape_rows();
PrimitiveRows slice_rows();

}  // namespace lockstep

// Comparisons, logic, and what is chosen by them.
#include <limits>

#include "engine/artifacts/primitives/PrimitiveRows.h"

namespace lockstep {

namespace {

using Comparison = Term (*)(const Term&, const Term&);

Term unequal(const Term& a, const Term& b) { return logical_not(equal(a, b)); }
Term greater(const Term& a, const Term& b) { return less(b, a); }
Term greater_equal(const Term& a, const Term& b) { return less_equal(b, a); }

template <Comparison kCompare>
Term compared(NodeArguments& arguments) {
  const std::vector<Operand> operands = {arguments.operand("self"), arguments.operand("other")};
  const ElementType type = promoted_type(operands);
  return kCompare(as_tensor(arguments.builder(), operands[0], type), as_tensor(arguments.builder(), operands[1], type));
}

template <Comparison kCombine>
Term logical(NodeArguments& arguments) {
  const Term a = arguments.operand("self", ElementType::kBool);
  return kCombine(a, arguments.operand("other", ElementType::kBool));
}

// Of bool: bits of integers have no primitive.
template <Comparison kCombine>
Term bitwise(NodeArguments& arguments) {
  if (arguments.output_type() != ElementType::kBool) arguments.refuse("it works on the bits of integers");
  return logical<kCombine>(arguments);
}

Term bitwise_not(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  return x.type() == ElementType::kBool ? logical_not(x) : -x - number_like(x, std::int64_t{1});
}

Term is_infinite(const Term& x) {
  const Term size = unary(primitive::Unary::Kind::kAbsolute, x);
  return equal(size, number_like(x, std::numeric_limits<double>::infinity()));
}

Term never(const Term& x) { return filled(x.builder(), false, ElementType::kBool, x.all_sizes()); }

Term is_nan(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  return is_real(x.type()) ? unary(primitive::Unary::Kind::kIsNan, x) : never(x);
}

Term is_inf(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  return is_real(x.type()) ? is_infinite(x) : never(x);
}

Term is_finite(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  if (!is_real(x.type())) return logical_not(never(x));
  return logical_not(logical_or(unary(primitive::Unary::Kind::kIsNan, x), is_infinite(x)));
}

Term where(NodeArguments& arguments) {
  const ElementType type = arguments.output_type();
  const Term condition = cast(arguments.tensor("condition"), ElementType::kBool);
  const Term a = arguments.operand("self", type);
  return select(condition, a, arguments.operand("other", type));
}

Term masked_fill(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const Term mask = cast(arguments.tensor("mask"), ElementType::kBool);
  return select(mask, arguments.operand("value", x.type()), x);
}

}  // namespace

PrimitiveRows comparison_rows() {
  return {
      {"__and__", bitwise<logical_and>},
      {"__or__", bitwise<logical_or>},
      {"__xor__", bitwise<unequal>},
      {"bitwise_and", bitwise<logical_and>},
      {"bitwise_not", bitwise_not},
      {"bitwise_or", bitwise<logical_or>},
      {"bitwise_xor", bitwise<unequal>},
      {"eq", compared<equal>},
      {"ge", compared<greater_equal>},
      {"greater", compared<greater>},
      {"greater_equal", compared<greater_equal>},
      {"gt", compared<greater>},
      {"isfinite", is_finite},
      {"isinf", is_inf},
      {"isnan", is_nan},
      {"le", compared<less_equal>},
      {"less", compared<less>},
      {"less_equal", compared<less_equal>},
      {"logical_and", logical<logical_and>},
      {"logical_not",
       [](NodeArguments& arguments) { return logical_not(cast(arguments.tensor("self"), ElementType::kBool)); }},
      {"logical_or", logical<logical_or>},
      {"logical_xor", logical<unequal>},
      {"lt", compared<less>},
      {"masked_fill", masked_fill},
      {"ne", compared<unequal>},
      {"not_equal", compared<unequal>},
      {"where.self", where},
      {"where.ScalarSelf", where},
      {"where.ScalarOther", where},
      {"where.Scalar", where},
  };
}

}  // namespace lockstep

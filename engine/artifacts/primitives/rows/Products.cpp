// Products of matrices.
#include "engine/artifacts/primitives/PrimitiveRows.h"

namespace lockstep {

namespace {

// torch.matmul: vectors are a row on the left and a column on the right, whose dimension goes again.
Term matrix_product(const Term& a, const Term& b) {
  const bool row = a.rank() == 1;
  const bool column = b.rank() == 1;
  Term result = product(row ? unsqueeze(a, 0) : a, column ? unsqueeze(b, 1) : b);
  if (column) result = squeeze(result, {static_cast<std::int64_t>(result.rank()) - 1});
  if (row) result = squeeze(result, {static_cast<std::int64_t>(result.rank()) - (column ? 1 : 2)});
  return result;
}

Term multiplied(NodeArguments& arguments, const char* second) {
  const Term a = arguments.tensor("self");
  return matrix_product(a, arguments.tensor(second));
}

// beta · self + alpha · (a · b).
Term added_product(NodeArguments& arguments, const char* first, const char* second) {
  const Term a = arguments.tensor(first);
  const Number alpha = arguments.number("alpha", std::int64_t{1});
  const Number beta = arguments.number("beta", std::int64_t{1});
  const auto is_one = [](const Number& value) { return std::visit([](auto each) { return each == 1; }, value); };
  const auto is_zero = [](const Number& value) { return std::visit([](auto each) { return each == 0; }, value); };
  Term result = matrix_product(a, arguments.tensor(second));
  if (!is_one(alpha)) result = result * number_like(result, alpha);
  const Term self = arguments.tensor("self");
  if (is_zero(beta)) return result;
  return (is_one(beta) ? self : self * number_like(self, beta)) + result;
}

// Primitives have a linear layer of two dimensions or more, with a bias that is a vector.
Term linear(NodeArguments& arguments) {
  Term x = arguments.tensor("input");
  Term weight = arguments.tensor("weight");
  const std::optional<Term> bias = arguments.find("bias");
  const bool vector = x.rank() == 1;
  if (vector) x = unsqueeze(x, 0);
  const bool one_output = weight.rank() == 1;
  if (one_output) weight = unsqueeze(weight, 0);
  const bool within = bias && !one_output && bias->sizes() == std::vector<Dimension>{weight.sizes().at(0)};
  std::vector<Term> inputs = {x, weight};
  if (within) inputs.push_back(*bias);
  Term result = perform(primitive::Linear{}, inputs);
  if (one_output) result = squeeze(result, {static_cast<std::int64_t>(result.rank()) - 1});
  if (vector) result = squeeze(result, {0});
  return bias && !within ? result + *bias : result;
}

Term outer(NodeArguments& arguments) {
  const Term a = arguments.tensor("self");
  return unsqueeze(a, 1) * unsqueeze(arguments.tensor("vec2"), 0);
}

}  // namespace

PrimitiveRows product_rows() {
  return {
      {"addmm", [](NodeArguments& arguments) { return added_product(arguments, "mat1", "mat2"); }},
      {"addmv", [](NodeArguments& arguments) { return added_product(arguments, "mat", "vec"); }},
      {"baddbmm", [](NodeArguments& arguments) { return added_product(arguments, "batch1", "batch2"); }},
      {"bmm", [](NodeArguments& arguments) { return multiplied(arguments, "mat2"); }},
      {"dot", [](NodeArguments& arguments) { return multiplied(arguments, "tensor"); }},
      {"ger", outer},
      {"linear", linear},
      {"matmul", [](NodeArguments& arguments) { return multiplied(arguments, "other"); }},
      {"mm", [](NodeArguments& arguments) { return multiplied(arguments, "mat2"); }},
      {"mv", [](NodeArguments& arguments) { return multiplied(arguments, "vec"); }},
      {"outer", outer},
  };
}

}  // namespace lockstep

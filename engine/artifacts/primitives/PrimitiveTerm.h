// Formulas over the values of a graph of primitives, as they are written on paper.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "engine/artifacts/primitives/PrimitiveBuilder.h"

namespace lockstep {

/// Numbers that a lowering writes into a graph where a program has none: of more, the program is refused.
constexpr std::int64_t kMostWrittenNumbers = std::int64_t{1} << 22;

/// A number that an operator is given; it takes the type of what it meets.
using Number = std::variant<std::int64_t, double, bool>;

/// A value together with the builder that new nodes are added to, which must outlive it. Copies are the same value.
class Term {
 public:
  Term(PrimitiveBuilder& builder, ValueId id) : builder_(&builder), id_(id) {}

  PrimitiveBuilder& builder() const { return *builder_; }
  ValueId id() const { return id_; }
  ElementType type() const { return builder_->value(id_).type; }
  /// A copy, for what is added next moves all values.
  std::vector<Dimension> sizes() const { return builder_->value(id_).sizes; }
  std::size_t rank() const { return builder_->value(id_).sizes.size(); }
  Integer size(std::size_t dim) const { return builder_->size(id_, dim); }
  Integers all_sizes() const;

 private:
  PrimitiveBuilder* builder_;
  ValueId id_;
};

// Everything below adds at most the nodes that its name says, and none where it would change nothing. Dimensions are
// counted from 0. What throws, throws what PrimitiveBuilder throws.

Term perform(primitive::Operation operation, const std::vector<Term>& inputs);
Term unary(primitive::Unary::Kind kind, const Term& x);
/// Of inputs of one type.
Term binary(primitive::Binary::Kind kind, const Term& a, const Term& b);

/// A scalar. A number that the type does not have is converted as Cast does.
Term number(PrimitiveBuilder& builder, const Number& value, ElementType type);
/// The same in the type of `x`.
Term number_like(const Term& x, const Number& value);
Term vector_of(PrimitiveBuilder& builder, const Ints& values);  ///< int64
Term scalar(PrimitiveBuilder& builder, const Integer& value);   ///< int64
/// The number in all places of a tensor of these sizes.
Term filled(PrimitiveBuilder& builder, const Number& value, ElementType type, const Integers& sizes);
/// int64 [n]: from start in steps before limit. step ≠ 0.
Term range(PrimitiveBuilder& builder, const Integer& start, const Integer& limit, std::int64_t step = 1);

/// The step of what is a range from 0 in known steps, or known numbers as evenly apart; nothing for anything else.
std::optional<std::int64_t> range_step(const Term& x);

/// Whether all of its elements are known not to be negative.
bool never_negative(const Term& x);

Term operator+(const Term& a, const Term& b);
Term operator-(const Term& a, const Term& b);
Term operator*(const Term& a, const Term& b);
Term operator/(const Term& a, const Term& b);
Term operator+(const Term& a, double b);
Term operator-(const Term& a, double b);
Term operator-(double a, const Term& b);
Term operator*(const Term& a, double b);
Term operator/(const Term& a, double b);
Term operator-(const Term& x);
Term power(const Term& x, double exponent);
Term maximum(const Term& a, const Term& b);
Term minimum(const Term& a, const Term& b);
Term equal(const Term& a, const Term& b);
Term less(const Term& a, const Term& b);
Term less_equal(const Term& a, const Term& b);
Term logical_and(const Term& a, const Term& b);
Term logical_or(const Term& a, const Term& b);
Term logical_not(const Term& x);
Term select(const Term& condition, const Term& a, const Term& b);
Term cast(const Term& x, ElementType type);

/// One size at most is only known at run time afterwards where -1 can stand for it.
Term reshape(const Term& x, Integers sizes);
Term broadcast(const Term& x, const Integers& sizes);
Term transpose(const Term& x, const Ints& axes);
Term swapped(const Term& x, std::size_t a, std::size_t b);  ///< two dimensions
Term unsqueeze(const Term& x, std::size_t dim);
Term squeeze(const Term& x, const Ints& dims);  ///< all of size 1
Term slice(const Term& x, std::size_t dim, const Integer& start, const Integer& end, std::int64_t step = 1);
/// The entry at `index` of a dimension, which goes.
Term entry(const Term& x, std::size_t dim, const Integer& index);
Term concatenate(const std::vector<Term>& parts, std::size_t dim);
Term pad(const Term& x, const Ints& before, const Ints& after, double value);
Term gather(const Term& x, const Term& indices, std::size_t dim);
Term reduce(primitive::Reduce::Kind kind, const Term& x, const Ints& dims, bool keep);
Term softmax(const Term& x, std::size_t dim, bool logarithm = false);
Term product(const Term& a, const Term& b, bool transpose_second = false);

/// Dimension `dim` of x, of size n, becomes its product with a matrix [n, m], row-major.
Term mapped(const Term& x, std::size_t dim, const std::vector<double>& matrix, std::int64_t m);

/// All dimensions: 0, 1, …
Ints all_dims(std::size_t rank);

// Arithmetic on integers, where they are known without a node.
Integer add(PrimitiveBuilder& builder, const Integer& a, const Integer& b);
Integer subtract(PrimitiveBuilder& builder, const Integer& a, const Integer& b);
Integer multiply(PrimitiveBuilder& builder, const Integer& a, const Integer& b);
/// kAdd, kSubtract, kMultiply, kFloorDivide, kRemainder. Throws InputError for what sizes cannot be divided by.
Integer integer_arithmetic(PrimitiveBuilder& builder, primitive::Binary::Kind kind, const Integer& a, const Integer& b);

}  // namespace lockstep

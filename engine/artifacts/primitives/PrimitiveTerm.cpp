#include "engine/artifacts/primitives/PrimitiveTerm.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "common/Error.h"
#include "engine/artifacts/primitives/PrimitiveInference.h"
#include "engine/program/SizeOperator.h"

namespace lockstep {

namespace {

using Binary = primitive::Binary::Kind;

constexpr std::int64_t kLongRange = 4096;  // of more integers, a Range is written rather than a Constant

template <typename T>
std::string bytes_of_number(const Number& value) {
  const T number = std::visit([](auto each) { return static_cast<T>(each); }, value);
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

template <typename T>
T clamped_integer(double value) {
  if (!(value > static_cast<double>(std::numeric_limits<T>::min()))) return std::numeric_limits<T>::min();
  if (value >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
  return static_cast<T>(value);
}

template <typename T>
std::string bytes_of_integer(const Number& value) {
  const auto* real = std::get_if<double>(&value);
  return bytes_of_number<T>(real ? Number(static_cast<std::int64_t>(clamped_integer<T>(*real))) : value);
}

std::string number_bytes(const Number& value, ElementType type) {
  switch (type) {
    case ElementType::kFloat:
      return bytes_of_number<float>(value);
    case ElementType::kDouble:
      return bytes_of_number<double>(value);
    case ElementType::kInt64:
      return bytes_of_integer<std::int64_t>(value);
    case ElementType::kInt32:
      return bytes_of_integer<std::int32_t>(value);
    case ElementType::kInt16:
      return bytes_of_integer<std::int16_t>(value);
    case ElementType::kInt8:
      return bytes_of_integer<std::int8_t>(value);
    case ElementType::kUint8:
      return bytes_of_integer<std::uint8_t>(value);
    case ElementType::kBool:
      return {std::visit([](auto each) { return each != 0; }, value) ? '\1' : '\0'};
    default:
      throw InternalError("no constant is of type " + to_string(type));
  }
}

bool is_zero(const Integer& integer) { return integer == Integer(std::int64_t{0}); }

const char* python_name(Binary kind) {
  switch (kind) {
    case Binary::kAdd:
      return "_operator.add";
    case Binary::kSubtract:
      return "_operator.sub";
    case Binary::kMultiply:
      return "_operator.mul";
    case Binary::kFloorDivide:
      return "_operator.floordiv";
    case Binary::kRemainder:
      return "_operator.mod";
    default:
      throw InternalError("no arithmetic on sizes");
  }
}

}  // namespace

Integers Term::all_sizes() const {
  Integers result;
  for (std::size_t i = 0; i < rank(); ++i) result.push_back(size(i));
  return result;
}

Term perform(primitive::Operation operation, const std::vector<Term>& inputs) {
  std::vector<ValueId> ids;
  for (const Term& input : inputs) ids.push_back(input.id());
  PrimitiveBuilder& builder = inputs.at(0).builder();
  return {builder, builder.add(std::move(operation), std::move(ids)).at(0)};
}

Term unary(primitive::Unary::Kind kind, const Term& x) { return perform(primitive::Unary{kind}, {x}); }
Term binary(Binary kind, const Term& a, const Term& b) { return perform(primitive::Binary{kind}, {a, b}); }

Term number(PrimitiveBuilder& builder, const Number& value, ElementType type) {
  if (type == ElementType::kHalf || type == ElementType::kBFloat16) {
    return cast(number(builder, value, ElementType::kFloat), type);
  }
  return {builder, builder.constant({type, {}, number_bytes(value, type)})};
}

Term number_like(const Term& x, const Number& value) { return number(x.builder(), value, x.type()); }

Term vector_of(PrimitiveBuilder& builder, const Ints& values) {
  std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(std::int64_t));
  return {builder, builder.constant({ElementType::kInt64, {std::ssize(values)}, std::move(bytes)})};
}

Term scalar(PrimitiveBuilder& builder, const Integer& value) { return {builder, builder.scalar(value)}; }

Term filled(PrimitiveBuilder& builder, const Number& value, ElementType type, const Integers& sizes) {
  return broadcast(number(builder, value, type), sizes);
}

Term range(PrimitiveBuilder& builder, const Integer& start, const Integer& limit, std::int64_t step) {
  const auto* first = std::get_if<std::int64_t>(&start);
  const auto* end = std::get_if<std::int64_t>(&limit);
  if (first && end) {
    const __int128 distance = step > 0 ? static_cast<__int128>(*end) - *first : static_cast<__int128>(*first) - *end;
    const __int128 width = step > 0 ? step : -static_cast<__int128>(step);
    const __int128 count = distance <= 0 ? 0 : (distance + width - 1) / width;
    if (count <= kLongRange) {
      Ints values;
      for (std::int64_t i = 0; i < count; ++i) values.push_back(*first + i * step);
      return vector_of(builder, values);
    }
  }
  const Term result =
      perform(primitive::Range{}, {scalar(builder, start), scalar(builder, limit), scalar(builder, step)});
  if (is_zero(start) && step == 1) builder.refine(result.id(), {builder.dimension(limit)});
  return result;
}

std::optional<std::int64_t> range_step(const Term& x) {
  const PrimitiveNode* node = x.builder().maker(x.id());
  if (!node) return std::nullopt;
  if (std::holds_alternative<primitive::Range>(node->operation)) {
    const std::optional<Ints> start = x.builder().known_integers(node->inputs.at(0));
    const std::optional<Ints> step = x.builder().known_integers(node->inputs.at(2));
    return start && step && start->at(0) == 0 ? std::optional(step->at(0)) : std::nullopt;
  }
  const std::optional<Ints> values = x.builder().known_integers(x.id());
  if (!values || values->size() < 2) return std::nullopt;
  const std::int64_t step = values->at(1);
  for (std::size_t i = 0; i < values->size(); ++i) {
    if (values->at(i) != static_cast<std::int64_t>(i) * step) return std::nullopt;
  }
  return step;
}

bool never_negative(const Term& x) {
  PrimitiveBuilder& builder = x.builder();
  const PrimitiveNode* node = builder.maker(x.id());
  if (!node) return false;
  const auto holds = [&](ValueId id) {
    const std::optional<Ints> values = builder.known_integers(id);
    return values && std::ranges::all_of(*values, [](std::int64_t value) { return value >= 0; });
  };
  const primitive::Operation& operation = node->operation;
  if (std::holds_alternative<primitive::Range>(operation)) return holds(node->inputs[0]) && holds(node->inputs[2]);
  const bool same_elements = std::holds_alternative<primitive::Unsqueeze>(operation) ||
                             std::holds_alternative<primitive::Squeeze>(operation) ||
                             std::holds_alternative<primitive::Reshape>(operation) ||
                             std::holds_alternative<primitive::Broadcast>(operation);
  return same_elements ? never_negative(Term(builder, node->inputs[0])) : holds(x.id());
}

Term operator+(const Term& a, const Term& b) { return binary(Binary::kAdd, a, b); }
Term operator-(const Term& a, const Term& b) { return binary(Binary::kSubtract, a, b); }
Term operator*(const Term& a, const Term& b) { return binary(Binary::kMultiply, a, b); }
Term operator/(const Term& a, const Term& b) { return binary(Binary::kDivide, a, b); }
Term operator+(const Term& a, double b) { return a + number_like(a, b); }
Term operator-(const Term& a, double b) { return a - number_like(a, b); }
Term operator-(double a, const Term& b) { return number_like(b, a) - b; }
Term operator*(const Term& a, double b) { return a * number_like(a, b); }
Term operator/(const Term& a, double b) { return a / number_like(a, b); }
Term operator-(const Term& x) { return unary(primitive::Unary::Kind::kNegative, x); }
Term power(const Term& x, double exponent) { return binary(Binary::kPower, x, number_like(x, exponent)); }
Term maximum(const Term& a, const Term& b) { return binary(Binary::kMaximum, a, b); }
Term minimum(const Term& a, const Term& b) { return binary(Binary::kMinimum, a, b); }
Term equal(const Term& a, const Term& b) { return binary(Binary::kEqual, a, b); }
Term less(const Term& a, const Term& b) { return binary(Binary::kLess, a, b); }
Term less_equal(const Term& a, const Term& b) { return binary(Binary::kLessEqual, a, b); }
Term logical_and(const Term& a, const Term& b) { return binary(Binary::kAnd, a, b); }
Term logical_or(const Term& a, const Term& b) { return binary(Binary::kOr, a, b); }
Term logical_not(const Term& x) { return unary(primitive::Unary::Kind::kNot, x); }
Term select(const Term& condition, const Term& a, const Term& b) {
  return perform(primitive::Select{}, {condition, a, b});
}
Term cast(const Term& x, ElementType type) { return x.type() == type ? x : perform(primitive::Cast{type}, {x}); }

Term reshape(const Term& x, Integers sizes) {
  PrimitiveBuilder& builder = x.builder();
  const Integer left = std::int64_t{-1};
  const auto open = std::ranges::find(sizes, left);
  std::vector<Dimension> dimensions;
  for (auto size = sizes.begin(); size != sizes.end(); ++size) {
    if (size != open) dimensions.push_back(builder.dimension(*size));
  }
  if (open != sizes.end()) {
    const Dimension solved = left_over_size(x.sizes(), dimensions).value_or(std::int64_t{-1});
    dimensions.insert(dimensions.begin() + (open - sizes.begin()), solved);
    if (const auto* known = std::get_if<std::int64_t>(&solved)) *open = *known;
  }
  if (dimensions == x.sizes()) return x;
  const auto at_run_time = [](const Integer& size) { return std::holds_alternative<ValueId>(size); };
  const bool empty = std::ranges::any_of(sizes, is_zero);
  if (!empty && std::ranges::count(sizes, left) == 0 && std::ranges::count_if(sizes, at_run_time) == 1) {
    *std::ranges::find_if(sizes, at_run_time) = left;
  }
  const Term result = perform(primitive::Reshape{std::move(sizes)}, {x});
  if (std::ranges::count(dimensions, Dimension(std::int64_t{-1})) == 0) builder.refine(result.id(), dimensions);
  return result;
}

Term broadcast(const Term& x, const Integers& sizes) {
  std::vector<Dimension> dimensions;
  for (const Integer& size : sizes) dimensions.push_back(x.builder().dimension(size));
  return dimensions == x.sizes() ? x : perform(primitive::Broadcast{sizes}, {x});
}

Term transpose(const Term& x, const Ints& axes) {
  return axes == all_dims(x.rank()) ? x : perform(primitive::Transpose{axes}, {x});
}

Term swapped(const Term& x, std::size_t a, std::size_t b) {
  Ints axes = all_dims(x.rank());
  std::swap(axes.at(a), axes.at(b));
  return transpose(x, axes);
}

Term unsqueeze(const Term& x, std::size_t dim) {
  return perform(primitive::Unsqueeze{{static_cast<std::int64_t>(dim)}}, {x});
}

Term squeeze(const Term& x, const Ints& dims) { return dims.empty() ? x : perform(primitive::Squeeze{dims}, {x}); }

Term slice(const Term& x, std::size_t dim, const Integer& start, const Integer& end, std::int64_t step) {
  const auto* known_end = std::get_if<std::int64_t>(&end);
  const auto sizes = x.sizes();
  const auto* whole = std::get_if<std::int64_t>(&sizes.at(dim));
  const bool to_end = known_end && (*known_end == INT64_MAX || (whole && *known_end >= *whole));
  if (is_zero(start) && to_end && step == 1) return x;
  return perform(primitive::Slice{dim, start, to_end ? Integer(std::int64_t{INT64_MAX}) : end, step}, {x});
}

Term entry(const Term& x, std::size_t dim, const Integer& index) {
  const bool last = index == Integer(std::int64_t{-1});
  const Integer end = last ? Integer(std::int64_t{INT64_MAX}) : add(x.builder(), index, std::int64_t{1});
  const Term part = slice(x, dim, index, end);
  std::vector<Dimension> sizes = x.sizes();
  sizes.at(dim) = std::int64_t{1};
  x.builder().refine(part.id(), sizes);
  return squeeze(part, {static_cast<std::int64_t>(dim)});
}

Term concatenate(const std::vector<Term>& parts, std::size_t dim) {
  return parts.size() == 1 ? parts[0] : perform(primitive::Concatenate{dim}, parts);
}

Term pad(const Term& x, const Ints& before, const Ints& after, double value) {
  const auto none = [](const Ints& sizes) { return std::ranges::all_of(sizes, [](auto each) { return each == 0; }); };
  return none(before) && none(after) ? x : perform(primitive::Pad{before, after, value}, {x});
}

Term gather(const Term& x, const Term& indices, std::size_t dim) {
  return perform(primitive::Gather{dim}, {x, cast(indices, ElementType::kInt64)});
}

Term reduce(primitive::Reduce::Kind kind, const Term& x, const Ints& dims, bool keep) {
  return dims.empty() ? x : perform(primitive::Reduce{kind, dims, keep}, {x});
}

Term softmax(const Term& x, std::size_t dim, bool logarithm) {
  return perform(primitive::Softmax{dim, logarithm}, {x});
}

Term product(const Term& a, const Term& b, bool transpose_second) {
  return perform(primitive::MatrixMultiply{transpose_second}, {a, b});
}

Term mapped(const Term& x, std::size_t dim, const std::vector<double>& matrix, std::int64_t m) {
  std::string bytes(reinterpret_cast<const char*>(matrix.data()), matrix.size() * sizeof(double));
  const Ints sizes = {std::ssize(matrix) / m, m};
  const Term weights(x.builder(), x.builder().constant({ElementType::kDouble, sizes, std::move(bytes)}));
  const std::size_t last = x.rank() - 1;
  return swapped(product(swapped(x, dim, last), cast(weights, x.type())), dim, last);
}

Ints all_dims(std::size_t rank) {
  Ints dims(rank);
  std::iota(dims.begin(), dims.end(), 0);
  return dims;
}

Integer add(PrimitiveBuilder& builder, const Integer& a, const Integer& b) {
  if (is_zero(b)) return a;
  return is_zero(a) ? b : integer_arithmetic(builder, Binary::kAdd, a, b);
}

Integer subtract(PrimitiveBuilder& builder, const Integer& a, const Integer& b) {
  return is_zero(b) ? a : integer_arithmetic(builder, Binary::kSubtract, a, b);
}

Integer multiply(PrimitiveBuilder& builder, const Integer& a, const Integer& b) {
  const Integer one = std::int64_t{1};
  if (a == one) return b;
  return b == one ? a : integer_arithmetic(builder, Binary::kMultiply, a, b);
}

Integer integer_arithmetic(PrimitiveBuilder& builder, Binary kind, const Integer& a, const Integer& b) {
  const auto* left = std::get_if<std::int64_t>(&a);
  const auto* right = std::get_if<std::int64_t>(&b);
  if (left && right) return std::get<std::int64_t>(find_size_operator(python_name(kind))->compute(*left, *right));
  return binary(kind, scalar(builder, a), scalar(builder, b)).id();
}

}  // namespace lockstep

// Sums, means, extremes, norms, softmax and sorting, each by the formula in PyTorch's documentation (torch).
#include <limits>

#include "engine/artifacts/primitives/PrimitiveRows.h"

namespace lockstep {

namespace {

using Reduction = primitive::Reduce::Kind;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Over `dim`, or all dimensions, in the type of the result.
template <Reduction kKind>
Term reduced(NodeArguments& arguments) {
  const bool truth = kKind == Reduction::kAny || kKind == Reduction::kAll;
  const Term x = cast(arguments.tensor("self"), truth ? ElementType::kBool : arguments.output_type());
  arguments.ignore({"dtype"});
  const bool keep = arguments.flag("keepdim", false);
  return reduce(kKind, x, arguments.dims("dim", x.rank()), keep);
}

Term place_of_extreme(const Term& x, std::size_t dim, bool largest, bool keep) {
  return perform(primitive::ArgReduce{largest, dim, keep}, {x});
}

template <Reduction kKind>
std::vector<Term> extreme_and_place(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  if (x.rank() == 0) return {x, scalar(arguments.builder(), std::int64_t{0})};
  const std::size_t dim = arguments.dim("dim", x.rank(), 0);
  const bool keep = arguments.flag("keepdim", false);
  return {reduce(kKind, x, {static_cast<std::int64_t>(dim)}, keep),
          place_of_extreme(x, dim, kKind == Reduction::kMax, keep)};
}

Term place(NodeArguments& arguments, bool largest) {
  const Term x = arguments.tensor("self");
  const bool keep = arguments.flag("keepdim", false);
  if (!arguments.has("dim") || x.rank() == 0) {
    if (keep && x.rank() != 0) arguments.refuse("it keeps dimensions that it does not name");
    return place_of_extreme(reshape(x, {std::int64_t{-1}}), 0, largest, false);
  }
  return place_of_extreme(x, arguments.dim("dim", x.rank(), 0), largest, keep);
}

// How many elements a reduction takes together, in the type of `like`.
Term count_of(const Term& x, const Ints& dims, const Term& like) {
  Integer count = std::int64_t{1};
  for (const std::int64_t dim : dims) count = multiply(x.builder(), count, x.size(static_cast<std::size_t>(dim)));
  if (const auto* known = std::get_if<std::int64_t>(&count)) return number_like(like, *known);
  return cast(scalar(x.builder(), count), like.type());
}

struct Moments {
  Term variance;
  Term mean;
};

// Squares about the mean, divided by how many there are less `correction`, and not by less than 0.
Moments moments(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const Ints dims = arguments.dims("dim", x.rank());
  const bool keep = arguments.flag("keepdim", false);
  const double correction =
      arguments.flag("unbiased", true) ? arguments.real("correction", 1) : arguments.real("correction", 0);
  const Term mean = reduce(Reduction::kMean, x, dims, true);
  const Term distance = x - mean;
  const Term divisor = maximum(count_of(x, dims, x) - correction, number_like(x, 0.0));
  const Term variance = reduce(Reduction::kSum, distance * distance, dims, keep) / divisor;
  return {variance, keep ? mean : squeeze(mean, dims)};
}

Term root(const Term& x) { return unary(primitive::Unary::Kind::kSqrt, x); }

Term norm_of(const Term& x, double order, const Ints& dims, bool keep) {
  const Term size = unary(primitive::Unary::Kind::kAbsolute, x);
  if (order == 2) return root(reduce(Reduction::kSum, x * x, dims, keep));
  if (order == 1) return reduce(Reduction::kSum, size, dims, keep);
  if (order == kInfinity) return reduce(Reduction::kMax, size, dims, keep);
  if (order == -kInfinity) return reduce(Reduction::kMin, size, dims, keep);
  if (order == 0) {
    const Term nonzero = cast(logical_not(equal(x, number_like(x, 0.0))), x.type());
    return reduce(Reduction::kSum, nonzero, dims, keep);
  }
  return power(reduce(Reduction::kSum, power(size, order), dims, keep), 1 / order);
}

Term norm(NodeArguments& arguments) {
  const Term x = cast(arguments.tensor("self"), arguments.output_type());
  arguments.ignore({"dtype"});
  const double order = arguments.real(arguments.node().find("ord") ? "ord" : "p", 2);
  return norm_of(x, order, arguments.dims("dim", x.rank()), arguments.flag("keepdim", false));
}

Term cosine_similarity(NodeArguments& arguments) {
  const ElementType type = arguments.output_type();
  const Term a = cast(arguments.tensor("x1"), type);
  const Term b = cast(arguments.tensor("x2"), type);
  const Term both = a * b;  // has the sizes that both are broadcast to before norms are taken
  const Ints dims = {static_cast<std::int64_t>(arguments.dim("dim", both.rank(), 1))};
  const Term epsilon = number_like(a, arguments.real("eps", 1e-8));
  const auto unit = [&](const Term& x) {
    const Term all = broadcast(x, both.all_sizes());
    return all / maximum(norm_of(all, 2, dims, true), epsilon);
  };
  return reduce(Reduction::kSum, unit(a) * unit(b), dims, false);
}

// The largest element is taken out of the exponentials, unless it is not finite.
Term log_sum_exp(NodeArguments& arguments) {
  const Term x = cast(arguments.tensor("self"), arguments.output_type());
  const Ints dims = arguments.dims("dim", x.rank());
  const bool keep = arguments.flag("keepdim", false);
  const Term largest = reduce(Reduction::kMax, x, dims, true);
  const Term infinite = equal(unary(primitive::Unary::Kind::kAbsolute, largest), number_like(x, kInfinity));
  const Term moved = select(infinite, number_like(x, 0.0), largest);
  const Term sum = reduce(Reduction::kSum, unary(primitive::Unary::Kind::kExp, x - moved), dims, keep);
  return unary(primitive::Unary::Kind::kLog, sum) + (keep ? moved : squeeze(moved, dims));
}

Term cumulative_sum(NodeArguments& arguments) {
  const Term x = cast(arguments.tensor("self"), arguments.output_type());
  arguments.ignore({"dtype"});
  if (x.rank() == 0) return x;
  return perform(primitive::CumulativeSum{arguments.dim("dim", x.rank(), 0)}, {x});
}

std::vector<Term> largest(const Term& x, const Integer& k, std::size_t dim, bool descending) {
  PrimitiveBuilder& builder = x.builder();
  const std::vector<ValueId> both = builder.add(primitive::TopK{k, dim, descending}, {x.id()});
  return {Term(builder, both.at(0)), Term(builder, both.at(1))};
}

std::vector<Term> top(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  arguments.ignore({"sorted"});
  const Integer k = arguments.integer("k", std::int64_t{1});
  return largest(x, k, arguments.dim("dim", x.rank(), -1), arguments.flag("largest", true));
}

std::vector<Term> sorted(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  arguments.ignore({"stable"});
  const std::size_t dim = arguments.dim("dim", x.rank(), -1);
  return largest(x, x.size(dim), dim, arguments.flag("descending", false));
}

Term softmax_row(NodeArguments& arguments, bool logarithm) {
  const Term x = cast(arguments.tensor("self"), arguments.output_type());
  arguments.ignore({"dtype", "half_to_float"});
  return softmax(x, arguments.dim("dim", x.rank(), -1), logarithm);
}

// Rows of -∞ give 0.
Term safe_softmax(NodeArguments& arguments) {
  const Term x = cast(arguments.tensor("self"), arguments.output_type());
  arguments.ignore({"dtype"});
  const std::size_t dim = arguments.dim("dim", x.rank(), -1);
  const Term most = reduce(Reduction::kMax, x, {static_cast<std::int64_t>(dim)}, true);
  return select(equal(most, number_like(x, -kInfinity)), number_like(x, 0.0), softmax(x, dim));
}

Term nonzero_count(NodeArguments& arguments) {
  const Term x = cast(cast(arguments.tensor("self"), ElementType::kBool), ElementType::kInt64);
  return reduce(Reduction::kSum, x, arguments.dims("dim", x.rank()), false);
}

}  // namespace

PrimitiveRows reduction_rows() {
  return {
      {"_log_softmax", [](NodeArguments& arguments) { return softmax_row(arguments, true); }},
      {"_safe_softmax", safe_softmax},
      {"_softmax", [](NodeArguments& arguments) { return softmax_row(arguments, false); }},
      {"all", reduced<Reduction::kAll>},
      {"amax", reduced<Reduction::kMax>},
      {"amin", reduced<Reduction::kMin>},
      {"any", reduced<Reduction::kAny>},
      {"argmax", [](NodeArguments& arguments) { return place(arguments, true); }},
      {"argmin", [](NodeArguments& arguments) { return place(arguments, false); }},
      {"argsort", [](NodeArguments& arguments) { return sorted(arguments).at(1); }},
      {"cosine_similarity", cosine_similarity},
      {"count_nonzero", nonzero_count},
      {"cumsum", cumulative_sum},
      {"linalg_vector_norm", norm},
      {"log_softmax", [](NodeArguments& arguments) { return softmax_row(arguments, true); }},
      {"logsumexp", log_sum_exp},
      {"max.default", reduced<Reduction::kMax>},
      {"max.dim", extreme_and_place<Reduction::kMax>},
      {"mean", reduced<Reduction::kMean>},
      {"min.default", reduced<Reduction::kMin>},
      {"min.dim", extreme_and_place<Reduction::kMin>},
      {"norm", norm},
      {"prod", reduced<Reduction::kProduct>},
      {"softmax", [](NodeArguments& arguments) { return softmax_row(arguments, false); }},
      {"sort", sorted},
      {"std", [](NodeArguments& arguments) { return root(moments(arguments).variance); }},
      {"std_mean",
       [](NodeArguments& arguments) {
         const Moments both = moments(arguments);
         return std::vector<Term>{root(both.variance), both.mean};
       }},
      {"sum", reduced<Reduction::kSum>},
      {"topk", top},
      {"var", [](NodeArguments& arguments) { return moments(arguments).variance; }},
      {"var_mean",
       [](NodeArguments& arguments) {
         const Moments both = moments(arguments);
         return std::vector<Term>{both.variance, both.mean};
       }},
  };
}

}  // namespace lockstep

// Rows of tables, and elements by their places, as PyTorch's documentation (torch) and NumPy's (indexing) have them.
#include <algorithm>
#include <limits>

#include "engine/artifacts/primitives/PrimitiveRows.h"

namespace lockstep {

namespace {

using Reduction = primitive::Reduce::Kind;

// Indices below 0 count from the end of the dimension.
Term from_start(const Term& indices, const Term& x, std::size_t dim) {
  const Term whole = cast(indices, ElementType::kInt64);
  if (never_negative(whole)) return whole;
  const Term wrapped = whole + scalar(x.builder(), x.size(dim));
  return select(less(whole, number_like(whole, std::int64_t{0})), wrapped, whole);
}

Term embedding(NodeArguments& arguments) {
  arguments.ignore({"padding_idx", "scale_grad_by_freq", "sparse"});  // of gradients
  const Term weight = arguments.tensor("weight");
  return gather(weight, arguments.tensor("indices"), 0);
}

Term index_select(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const Term indices = arguments.tensor("index");
  return gather(x, indices.rank() == 0 ? unsqueeze(indices, 0) : indices, arguments.dim("dim", x.rank(), 0));
}

// Primitives want indices as large as x but for the dimension; PyTorch takes fewer.
Term gathered(NodeArguments& arguments) {
  Term x = arguments.tensor("self");
  arguments.ignore({"sparse_grad"});
  const std::size_t dim = arguments.dim("dim", x.rank(), 0);
  const Term indices = cast(arguments.tensor("index"), ElementType::kInt64);
  const std::vector<Dimension> sizes = x.sizes();
  const std::vector<Dimension> wanted = indices.sizes();
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (i != dim && sizes[i] != wanted.at(i)) x = slice(x, i, std::int64_t{0}, indices.size(i));
  }
  return perform(primitive::GatherElements{dim}, {x, indices});
}

Term taken_along(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const std::size_t dim = arguments.dim("dim", x.rank(), 0);
  const Term indices = arguments.tensor("indices");
  Integers of_x = x.all_sizes();
  Integers of_indices = indices.all_sizes();
  const Integer one = std::int64_t{1};
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (i == dim) continue;
    (of_x[i] == one ? of_x : of_indices)[i] = of_x[i] == one ? of_indices.at(i) : of_x[i];
  }
  return perform(primitive::GatherElements{dim},
                 {broadcast(x, of_x), broadcast(from_start(indices, x, dim), of_indices)});
}

// x[i, j] of numpy: tensors of indices for some dimensions, broadcast against each other; what they make stands where
// the first of them does, or in front where others stand between them.
Term indexed(NodeArguments& arguments) {
  Term x = arguments.tensor("self");
  const std::vector<std::optional<Term>> given = arguments.tensors("indices");
  Ints places;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (!given[i]) continue;
    if (given[i]->type() == ElementType::kBool || given[i]->type() == ElementType::kUint8) {
      arguments.refuse("how many elements a mask selects is only known at run time");
    }
    places.push_back(static_cast<std::int64_t>(i));
  }
  if (places.empty()) return x;
  const auto first = static_cast<std::size_t>(places[0]);
  if (places.size() == 1) return gather(x, from_start(*given[first], x, first), first);

  const bool together = places.back() - places[0] + 1 == std::ssize(places);
  std::optional<Term> flat;  // ((i · size of the next dimension) + j) …
  for (const std::int64_t place : places) {
    const auto dim = static_cast<std::size_t>(place);
    const Term index = from_start(*given[dim], x, dim);
    flat = flat ? *flat * scalar(x.builder(), x.size(dim)) + index : index;
  }
  Ints axes = places;  // to the front of x, or where the first is
  Ints others;
  for (const std::int64_t dim : all_dims(x.rank())) {
    if (std::ranges::count(places, dim) == 0) others.push_back(dim);
  }
  const std::size_t at = together ? first : 0;
  axes.insert(axes.begin(), others.begin(), others.begin() + static_cast<std::ptrdiff_t>(at));
  axes.insert(axes.end(), others.begin() + static_cast<std::ptrdiff_t>(at), others.end());
  x = transpose(x, axes);
  Integers sizes = x.all_sizes();
  Integer joined = std::int64_t{1};
  for (std::size_t i = 0; i < places.size(); ++i) joined = multiply(x.builder(), joined, sizes[at + i]);
  sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(at),
              sizes.begin() + static_cast<std::ptrdiff_t>(at + places.size()));
  sizes.insert(sizes.begin() + static_cast<std::ptrdiff_t>(at), joined);
  return gather(reshape(x, sizes), *flat, at);
}

// x[mask] = value, of one value.
Term masked_put(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const std::vector<std::optional<Term>> given = arguments.tensors("indices");
  const Term value = arguments.tensor("values");
  if (arguments.flag("accumulate", false) || given.size() != 1 || !given[0] || given[0]->type() != ElementType::kBool ||
      value.rank() != 0) {
    arguments.refuse("only one value can be put, and where a mask says");
  }
  Term mask = *given[0];
  while (mask.rank() < x.rank()) mask = unsqueeze(mask, mask.rank());
  return select(mask, cast(value, x.type()), x);
}

Term one_hot(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const std::int64_t classes = arguments.known("num_classes", -1);
  if (classes < 0) arguments.refuse("how many classes it has is only known at run time");
  const Term columns = cast(range(arguments.builder(), std::int64_t{0}, classes), x.type());
  return cast(equal(unsqueeze(x, x.rank()), columns), ElementType::kInt64);
}

std::size_t table_rows(NodeArguments& arguments, const Term& weight) {
  const std::vector<Dimension> sizes = weight.sizes();
  const auto* rows = std::get_if<std::int64_t>(&sizes.at(0));
  if (!rows) arguments.refuse("its table's size is only known at run time");
  return static_cast<std::size_t>(*rows);
}

std::vector<Term> bags_of_rows(NodeArguments& arguments, const Term& weight, const Term& bags,
                               const std::optional<Term>& weights) {
  const std::int64_t mode = arguments.known("mode", 0);
  Term rows = gather(weight, bags, 0);  // [bags, length, width]
  std::optional<Term> counted;
  if (arguments.has("padding_idx")) {
    const auto padding = static_cast<std::int64_t>(arguments.dim("padding_idx", table_rows(arguments, weight), 0));
    counted = unsqueeze(logical_not(equal(bags, number_like(bags, padding))), 2);
  }
  if (weights) rows = rows * unsqueeze(*weights, 2);
  if (mode == 2) {
    const double infinity = std::numeric_limits<double>::infinity();
    if (!counted) return {reduce(Reduction::kMax, rows, {1}, false)};
    const Term most = reduce(Reduction::kMax, select(*counted, rows, number_like(rows, -infinity)), {1}, false);
    const Term some = reduce(Reduction::kAny, *counted, {1}, false);
    return {select(some, most, number_like(rows, 0.0))};
  }
  if (!counted) return {reduce(mode == 1 ? Reduction::kMean : Reduction::kSum, rows, {1}, false)};
  const Term present = cast(*counted, rows.type());
  const Term sum = reduce(Reduction::kSum, rows * present, {1}, false);
  if (mode == 0) return {sum};
  return {sum / maximum(reduce(Reduction::kSum, present, {1}, false), number_like(rows, 1.0))};
}

// Bags of one length, as torch.nn.EmbeddingBag makes them of a matrix: offsets are 0, length, 2 · length, …
std::vector<Term> embedding_bag(NodeArguments& arguments) {
  arguments.ignore({"scale_grad_by_freq", "sparse"});
  const Term weight = arguments.tensor("weight");
  const Term indices = arguments.tensor("indices");
  const std::optional<std::int64_t> length = range_step(arguments.tensor("offsets"));
  if (!length || *length < 1 || indices.rank() != 1 || arguments.flag("include_last_offset", false)) {
    arguments.refuse("its bags are not known to be of one length");
  }
  const auto bags = [&](const Term& flat) { return reshape(flat, {std::int64_t{-1}, *length}); };
  const std::optional<Term> weights = arguments.find("per_sample_weights");
  return bags_of_rows(arguments, weight, bags(indices), weights ? std::optional(bags(*weights)) : std::nullopt);
}

}  // namespace

PrimitiveRows index_rows() {
  return {
      {"_unsafe_index", indexed},     {"embedding", embedding},  {"embedding_bag", embedding_bag},
      {"gather", gathered},           {"index.Tensor", indexed}, {"index_put", masked_put},
      {"index_select", index_select}, {"one_hot", one_hot},      {"take_along_dim", taken_along},
  };
}

}  // namespace lockstep

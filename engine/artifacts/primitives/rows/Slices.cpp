// Parts of tensors, and tensors put together of parts, as PyTorch's documentation (torch) has them.
#include <algorithm>
#include <limits>

#include "engine/artifacts/primitives/PrimitiveRows.h"
#include "engine/artifacts/primitives/ViewWrites.h"

namespace lockstep {

namespace {

constexpr std::int64_t kMostDifferences = 64;
constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();

Term selected(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const std::size_t dim = arguments.dim("dim", x.rank(), 0);
  Integer index = arguments.integer("index", std::int64_t{0});
  const std::vector<Dimension> sizes = x.sizes();
  const auto* whole = std::get_if<std::int64_t>(&sizes[dim]);
  if (auto* known = std::get_if<std::int64_t>(&index); known && *known < 0 && whole) *known += *whole;
  return entry(x, dim, index);
}

Term sliced(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const SliceBounds bounds = slice_bounds(arguments, x);
  return slice(x, bounds.dim, bounds.start, bounds.end, bounds.step);
}

// In pieces of these lengths; the last may be shorter.
std::vector<Term> pieces(NodeArguments& arguments, const Term& x, std::size_t dim, const Integers& lengths) {
  std::vector<Term> parts;
  Integer start = std::int64_t{0};
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const Integer end = add(arguments.builder(), start, lengths[i]);
    parts.push_back(slice(x, dim, start, i + 1 == lengths.size() ? Integer(kEnd) : end));
    start = end;
  }
  return parts;
}

std::vector<Term> split_row(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const std::size_t dim = arguments.dim("dim", x.rank(), 0);
  if (arguments.node().find("split_sizes")) return pieces(arguments, x, dim, arguments.integers("split_sizes"));
  const Integers size = arguments.integers("split_size");
  if (size.size() != 1) return pieces(arguments, x, dim, size);
  return pieces(arguments, x, dim, Integers(arguments.results(), size[0]));
}

std::vector<Term> chunks(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const std::size_t dim = arguments.dim("dim", x.rank(), 0);
  const std::int64_t count = arguments.known("chunks", 1);
  const std::vector<Dimension> sizes = x.sizes();
  const auto* whole = std::get_if<std::int64_t>(&sizes[dim]);
  if (!whole || count < 1) arguments.refuse("it cuts a dimension whose size is only known at run time");
  return pieces(arguments, x, dim, Integers(arguments.results(), (*whole + count - 1) / count));
}

std::vector<Term> unbound(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const std::size_t dim = arguments.dim("dim", x.rank(), 0);
  std::vector<Term> parts;
  for (std::size_t i = 0; i < arguments.results(); ++i) parts.push_back(entry(x, dim, static_cast<std::int64_t>(i)));
  return parts;
}

// An old rule of PyTorch: a vector without elements may stand among tensors of other dimensions.
Term joined(NodeArguments& arguments) {
  std::vector<Term> parts;
  for (const auto& each : arguments.tensors("tensors")) {
    const bool nothing = each.value().sizes() == std::vector<Dimension>{std::int64_t{0}};
    if (!nothing || arguments.output_sizes().size() == 1) parts.push_back(cast(*each, arguments.output_type()));
  }
  if (parts.empty()) arguments.refuse("it joins nothing");
  return concatenate(parts, arguments.dim("dim", parts[0].rank(), 0));
}

Term stacked(NodeArguments& arguments) {
  std::vector<Term> parts;
  for (const auto& each : arguments.tensors("tensors")) {
    const std::size_t dim = arguments.dim("dim", each.value().rank() + 1, 0);
    parts.push_back(unsqueeze(cast(*each, arguments.output_type()), dim));
  }
  if (parts.empty()) arguments.refuse("it joins nothing");
  return concatenate(parts, arguments.dim("dim", parts[0].rank(), 0));
}

Term rolled(const Term& x, std::size_t dim, std::int64_t shift) {
  const std::vector<Dimension> sizes = x.sizes();
  if (const auto* whole = std::get_if<std::int64_t>(&sizes.at(dim))) {
    if (*whole == 0) return x;
    shift = (shift % *whole + *whole) % *whole;
  }
  if (shift == 0) return x;
  const Term all = concatenate({slice(x, dim, -shift, kEnd), slice(x, dim, std::int64_t{0}, -shift)}, dim);
  x.builder().refine(all.id(), sizes);
  return all;
}

Term roll(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const Ints shifts = arguments.ints("shifts");
  const Ints dims = arguments.ints("dims");
  if (dims.empty()) return reshape(rolled(reshape(x, {std::int64_t{-1}}), 0, shifts.at(0)), x.all_sizes());
  Term result = x;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const std::int64_t dim = dims[i] < 0 ? dims[i] + static_cast<std::int64_t>(x.rank()) : dims[i];
    result = rolled(result, static_cast<std::size_t>(dim), shifts.at(i));
  }
  return result;
}

Term flipped(NodeArguments& arguments) {
  Term x = arguments.tensor("self");
  if (arguments.ints("dims").empty()) return x;
  for (const std::int64_t dim : arguments.dims("dims", x.rank())) {
    x = perform(primitive::Reverse{static_cast<std::size_t>(dim)}, {x});
  }
  return x;
}

// Pads of each dimension; programs give them last dimension first. A negative one takes away.
struct Margins {
  Ints before;
  Ints after;
};

Margins margins(NodeArguments& arguments, const char* name, std::size_t rank) {
  const Ints given = arguments.ints(name);
  Margins result{Ints(rank), Ints(rank)};
  for (std::size_t i = 0; i + 1 < given.size(); i += 2) {
    result.before.at(rank - 1 - i / 2) = given[i];
    result.after.at(rank - 1 - i / 2) = given[i + 1];
  }
  return result;
}

Term padded_constant(Term x, Margins sides, double value) {
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (sides.before[i] < 0 || sides.after[i] < 0) {
      x = slice(x, i, std::max<std::int64_t>(0, -sides.before[i]), sides.after[i] < 0 ? sides.after[i] : kEnd);
    }
    sides.before[i] = std::max<std::int64_t>(0, sides.before[i]);
    sides.after[i] = std::max<std::int64_t>(0, sides.after[i]);
  }
  return pad(x, sides.before, sides.after, value);
}

// Where position `at` of a dimension of `size` takes its element from.
std::int64_t source(const std::string& mode, std::int64_t at, std::int64_t size) {
  if (mode == "replicate") return std::clamp<std::int64_t>(at, 0, size - 1);
  if (mode == "circular") return (at % size + size) % size;
  if (at < 0) at = -at;
  return at < size ? at : 2 * (size - 1) - at;
}

Term padded_from_itself(NodeArguments& arguments, Term x, const Margins& sides, const std::string& mode) {
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (sides.before[i] == 0 && sides.after[i] == 0) continue;
    const std::vector<Dimension> sizes = x.sizes();
    const auto* size = std::get_if<std::int64_t>(&sizes[i]);
    if (!size || *size < 1)
      arguments.refuse("it pads by " + mode + " a dimension whose size is only known at run time");
    if (std::max(sides.before[i], sides.after[i]) > kMostWrittenNumbers) arguments.refuse("it pads too much");
    Ints from;
    for (std::int64_t at = -sides.before[i]; at < *size + sides.after[i]; ++at) {
      from.push_back(source(mode, at, *size));
      if (from.back() < 0 || from.back() >= *size) arguments.refuse("it pads by more than there is");
    }
    x = gather(x, vector_of(arguments.builder(), from), i);
  }
  return x;
}

Term padded(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const Margins sides = margins(arguments, "pad", x.rank());
  const std::string mode = arguments.text("mode", "constant");
  const double value = arguments.real("value", 0);
  return mode == "constant" ? padded_constant(x, sides, value) : padded_from_itself(arguments, x, sides, mode);
}

Term reflected(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  return padded_from_itself(arguments, x, margins(arguments, "padding", x.rank()), "reflect");
}

Term replicated(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  return padded_from_itself(arguments, x, margins(arguments, "padding", x.rank()), "replicate");
}

// What lies below, or above, a diagonal of matrices; 0 elsewhere.
Term triangle(NodeArguments& arguments, bool lower) {
  const Term x = arguments.tensor("self");
  if (x.rank() < 2) arguments.refuse("it takes matrices");
  const std::int64_t diagonal = arguments.known("diagonal", 0);
  PrimitiveBuilder& builder = arguments.builder();
  const Integer shifted = add(builder, x.size(x.rank() - 2), diagonal);
  const Term rows = unsqueeze(range(builder, diagonal, shifted), 1);
  const Term columns = unsqueeze(range(builder, std::int64_t{0}, x.size(x.rank() - 1)), 0);
  const Term kept = lower ? less_equal(columns, rows) : less_equal(rows, columns);
  return select(kept, x, number_like(x, std::int64_t{0}));
}

Term differences(NodeArguments& arguments) {
  Term x = arguments.tensor("self");
  const std::size_t dim = arguments.dim("dim", x.rank(), -1);
  std::vector<Term> parts = {x};
  if (const auto before = arguments.find("prepend")) parts.insert(parts.begin(), cast(*before, x.type()));
  if (const auto after = arguments.find("append")) parts.push_back(cast(*after, x.type()));
  x = concatenate(parts, dim);
  const std::int64_t times = arguments.known("n", 1);
  if (times > kMostDifferences) arguments.refuse("it takes differences of differences too often");
  for (std::int64_t i = times; i > 0; --i) {
    const Term later = slice(x, dim, std::int64_t{1}, kEnd);
    const Term earlier = slice(x, dim, std::int64_t{0}, std::int64_t{-1});
    x.builder().refine(later.id(), earlier.sizes());
    x = x.type() == ElementType::kBool ? logical_not(equal(later, earlier)) : later - earlier;
  }
  return x;
}

// Windows of a dimension; their elements are a new last dimension.
Term unfolded(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const std::size_t dim = arguments.dim("dimension", x.rank(), 0);
  const std::int64_t size = arguments.known("size", 1);
  const std::int64_t step = arguments.known("step", 1);
  const std::vector<Dimension> sizes = x.sizes();
  const auto* whole = std::get_if<std::int64_t>(&sizes[dim]);
  if (!whole || step < 1 || size < 1) arguments.refuse("it moves over a size that is only known at run time");
  if (*whole > kMostWrittenNumbers / size) arguments.refuse("it moves over too much");
  Ints places;
  for (std::int64_t start = 0; start + size <= *whole; start += step) {
    for (std::int64_t i = 0; i < size; ++i) places.push_back(start + i);
  }
  const auto count = static_cast<std::int64_t>(places.size()) / size;
  const Term windows = gather(x, reshape(vector_of(arguments.builder(), places), {count, size}), dim);
  Ints axes = all_dims(windows.rank());
  std::rotate(axes.begin() + static_cast<std::ptrdiff_t>(dim) + 1, axes.begin() + static_cast<std::ptrdiff_t>(dim) + 2,
              axes.end());
  return transpose(windows, axes);
}

}  // namespace

PrimitiveRows slice_rows() {
  return {
      {"cat", joined},
      {"chunk", chunks},
      {"concat", joined},
      {"concatenate", joined},
      {"constant_pad_nd", padded},
      {"diff", differences},
      {"flip", flipped},
      {"narrow", sliced},
      {"pad", padded},
      {"reflection_pad1d", reflected},
      {"reflection_pad2d", reflected},
      {"reflection_pad3d", reflected},
      {"replication_pad1d", replicated},
      {"replication_pad2d", replicated},
      {"replication_pad3d", replicated},
      {"roll", roll},
      {"select.int", selected},
      {"slice", sliced},
      {"split", split_row},
      {"split_with_sizes", split_row},
      {"stack", stacked},
      {"tril", [](NodeArguments& arguments) { return triangle(arguments, true); }},
      {"triu", [](NodeArguments& arguments) { return triangle(arguments, false); }},
      {"unbind", unbound},
      {"unfold", unfolded},
      {"unsafe_chunk", chunks},
      {"unsafe_split", split_row},
      {"unsafe_split_with_sizes", split_row},
  };
}

}  // namespace lockstep

#include "engine/artifacts/primitives/ViewWrites.h"

#include <algorithm>
#include <limits>
#include <string>

namespace lockstep {

namespace {

constexpr std::int64_t kToTheEnd = std::numeric_limits<std::int64_t>::max();

// `value` in the place of parent[start, end) of a dimension.
Term replaced(const Term& parent, std::size_t dim, const Integer& start, const Integer& end, const Term& value) {
  std::vector<Term> parts;
  const std::vector<Dimension> sizes = parent.sizes();
  if (start != Integer(std::int64_t{0})) parts.push_back(slice(parent, dim, std::int64_t{0}, start));
  parts.push_back(value);
  const bool to_end = end == Integer(kToTheEnd) || parent.builder().dimension(end) == sizes.at(dim);
  if (!to_end) parts.push_back(slice(parent, dim, end, kToTheEnd));
  return concatenate(parts, dim);
}

}  // namespace

SliceBounds slice_bounds(NodeArguments& arguments, const Term& self) {
  SliceBounds bounds{.dim = arguments.dim("dim", self.rank(), 0),
                     .start = arguments.integer("start", std::int64_t{0}),
                     .end = arguments.integer("end", kToTheEnd),
                     .step = arguments.known("step", 1)};
  if (arguments.node().aten_name() == "narrow") {
    const auto* start = std::get_if<std::int64_t>(&bounds.start);
    bounds.end = add(self.builder(), bounds.start, arguments.integer("length", std::int64_t{0}));
    if (start && *start < 0 && bounds.end == Integer(std::int64_t{0})) bounds.end = kToTheEnd;
  }
  if (bounds.step < 1) arguments.refuse("its step is not positive");
  const std::vector<Dimension> sizes = self.sizes();
  if (const auto* whole = std::get_if<std::int64_t>(&sizes[bounds.dim])) {
    for (Integer* bound : {&bounds.start, &bounds.end}) {
      auto* at = std::get_if<std::int64_t>(bound);
      if (at) *at = std::clamp<std::int64_t>(*at < 0 ? *at + *whole : *at, 0, *whole);
    }
  }
  return bounds;
}

std::optional<Term> written_through(NodeArguments& view, const Term& parent, const Term& value) {
  const std::string name = view.node().aten_name();
  if (parent.type() != value.type()) return std::nullopt;  // a conversion, which copied
  if (name == "alias" || name == "detach" || name == "to" || name == "lift_fresh") return value;
  if (name == "slice" || name == "narrow") {
    const SliceBounds bounds = slice_bounds(view, parent);
    const auto* start = std::get_if<std::int64_t>(&bounds.start);
    const auto* end = std::get_if<std::int64_t>(&bounds.end);
    if (bounds.step != 1 || !start || *start < 0 || (end && *end < *start)) return std::nullopt;
    return replaced(parent, bounds.dim, bounds.start, bounds.end, value);
  }
  if (name == "select") {
    const std::size_t dim = view.dim("dim", parent.rank(), 0);
    std::int64_t index = view.known("index", 0);
    const std::vector<Dimension> sizes = parent.sizes();
    const auto* whole = std::get_if<std::int64_t>(&sizes[dim]);
    if (index < 0 && !whole) return std::nullopt;
    if (index < 0) index += *whole;
    return replaced(parent, dim, index, index + 1, unsqueeze(value, dim));
  }
  if (name == "view" || name == "unsqueeze" || name == "squeeze" || name == "unflatten") {
    return reshape(value, parent.all_sizes());
  }
  if (name == "transpose") {
    return swapped(value, view.dim("dim0", parent.rank(), 0), view.dim("dim1", parent.rank(), 1));
  }
  return std::nullopt;
}

}  // namespace lockstep

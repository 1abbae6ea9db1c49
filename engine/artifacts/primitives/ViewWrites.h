// What a tensor is after one of its views has been written into.
#pragma once

#include <optional>

#include "engine/artifacts/primitives/NodeArguments.h"

namespace lockstep {

/// `parent`, of which the node with these arguments made a view, with the view's elements replaced by `value`. Nothing
/// for a view that this does not know.
std::optional<Term> written_through(NodeArguments& view, const Term& parent, const Term& value);

/// start and end of aten.slice or aten.narrow, not negative where the size is known.
struct SliceBounds {
  std::size_t dim = 0;
  Integer start;
  Integer end;
  std::int64_t step = 1;
};
SliceBounds slice_bounds(NodeArguments& arguments, const Term& self);

}  // namespace lockstep

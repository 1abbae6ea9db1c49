// The same elements in other sizes, orders and types.
#include <algorithm>

#include "engine/artifacts/primitives/PrimitiveRows.h"

namespace lockstep {

namespace {

Term same(NodeArguments& arguments) { return arguments.tensor("self"); }

// The type follows from the result.
Term converted(NodeArguments& arguments) {
  arguments.ignore({"dtype", "other"});
  return cast(arguments.tensor("self"), arguments.output_type());
}

Term undropped(NodeArguments& arguments) {
  arguments.ignore({"p"});
  if (arguments.flag("train", true)) arguments.refuse("it drops at random");
  return arguments.tensor(arguments.node().in_place() ? "self" : "input");
}

Term viewed(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  if (arguments.has("dtype")) arguments.refuse("it reads the bytes of one type as another");
  arguments.ignore({"stride"});  // of _reshape_alias: where elements lie
  Integers sizes = arguments.integers(arguments.node().find("shape") ? "shape" : "size");
  const std::vector<Dimension> stated = arguments.output_sizes();
  for (std::size_t i = 0; i < std::min(sizes.size(), stated.size()); ++i) {
    const auto* known = std::get_if<std::int64_t>(&stated[i]);
    const auto* given = std::get_if<std::int64_t>(&sizes[i]);
    if (given && *given >= 0 && stated[i] != Dimension(*given)) arguments.refuse("the program states other sizes");
    if (known) sizes[i] = *known;
  }
  return reshape(x, sizes);
}

Term shaped_as(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  return reshape(x, arguments.tensor("other").all_sizes());
}

Term flattened(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  if (x.rank() == 0) return reshape(x, {std::int64_t{1}});
  const std::size_t first = arguments.dim("start_dim", x.rank(), 0);
  const std::size_t last = arguments.dim("end_dim", x.rank(), -1);
  if (last < first) arguments.refuse("it ends before it starts");
  Integers sizes;
  for (std::size_t i = 0; i < x.rank(); ++i) {
    if (i < first || i > last) sizes.push_back(x.size(i));
    if (i == first) sizes.emplace_back(std::int64_t{-1});
  }
  return first == last ? x : reshape(x, sizes);
}

Term unflattened(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const std::size_t dim = arguments.dim("dim", x.rank(), 0);
  const std::vector<Dimension> stated = arguments.output_sizes();
  Integers sizes;
  for (std::size_t i = 0; i < dim; ++i) sizes.push_back(x.size(i));
  for (const Integer& size : arguments.integers("sizes")) {
    const auto* known = sizes.size() < stated.size() ? std::get_if<std::int64_t>(&stated[sizes.size()]) : nullptr;
    sizes.push_back(known ? Integer(*known) : size);
  }
  for (std::size_t i = dim + 1; i < x.rank(); ++i) sizes.push_back(x.size(i));
  return reshape(x, sizes);
}

Term permuted(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  Ints axes = arguments.ints("dims");
  for (std::int64_t& axis : axes) axis = axis < 0 ? axis + static_cast<std::int64_t>(x.rank()) : axis;
  return transpose(x, axes);
}

Term transposed(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  if (x.rank() == 0) return x;
  const bool axes = arguments.node().find("axis0") != nullptr;
  return swapped(x, arguments.dim(axes ? "axis0" : "dim0", x.rank(), 0),
                 arguments.dim(axes ? "axis1" : "dim1", x.rank(), 1));
}

Term of_matrices(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  return x.rank() < 2 ? x : swapped(x, x.rank() - 2, x.rank() - 1);
}

Term dimensions_moved(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const auto rank = static_cast<std::int64_t>(x.rank());
  const auto from_start = [&](Ints dims) {
    for (std::int64_t& dim : dims) dim = dim < 0 ? dim + rank : dim;
    return dims;
  };
  const Ints from = from_start(arguments.ints("source"));
  const Ints to = from_start(arguments.ints("destination"));
  Ints axes(x.rank(), -1);
  for (std::size_t i = 0; i < from.size(); ++i) axes.at(static_cast<std::size_t>(to.at(i))) = from[i];
  std::int64_t next = 0;
  for (std::int64_t& axis : axes) {
    while (std::ranges::count(from, next) > 0) ++next;
    if (axis < 0) axis = next++;
  }
  return transpose(x, axes);
}

Term unsqueezed(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  return unsqueeze(x, arguments.dim("dim", x.rank() + 1, 0));
}

// Dimensions of other sizes than 1 stay. Whether one of an open size goes, the result's rank says.
Term squeezed(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const std::size_t goes = x.rank() - std::min(x.rank(), arguments.output_sizes().size());
  const std::vector<Dimension> sizes = x.sizes();
  Ints dims;
  for (const std::int64_t dim : arguments.dims("dim", x.rank())) {
    if (sizes.at(static_cast<std::size_t>(dim)) == Dimension(std::int64_t{1})) dims.push_back(dim);
  }
  if (dims.size() != goes) arguments.refuse("which of its dimensions are of size 1 is only known at run time");
  return squeeze(x, dims);
}

Term expanded(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  arguments.ignore({"implicit"});
  Integers sizes = arguments.integers("size");
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == Integer(std::int64_t{-1})) sizes[i] = x.size(i - (sizes.size() - x.rank()));
  }
  return broadcast(x, sizes);
}

// Each dimension as a pair [times, size], broadcast, and the pairs as one dimension again.
Term repeated(const Term& x, const Integers& times) {
  Integers split;
  Integers wide;
  Integers sizes;
  const std::size_t added = times.size() - x.rank();
  for (std::size_t i = 0; i < times.size(); ++i) {
    const Integer size = i < added ? Integer(std::int64_t{1}) : x.size(i - added);
    sizes.push_back(multiply(x.builder(), times[i], size));
    const bool paired = times[i] != Integer(std::int64_t{1}) && size != Integer(std::int64_t{1});
    if (paired) {
      split.emplace_back(std::int64_t{1});
      wide.push_back(times[i]);
    }
    split.push_back(size);
    wide.push_back(paired ? size : sizes.back());
  }
  return reshape(broadcast(reshape(x, split), wide), sizes);
}

Term repeat(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  Integers times = arguments.integers(arguments.node().find("dims") ? "dims" : "repeats");
  while (times.size() < x.rank()) times.insert(times.begin(), std::int64_t{1});
  return repeated(x, times);
}

Term repeat_interleave(NodeArguments& arguments) {
  Term x = arguments.tensor("self");
  arguments.ignore({"output_size"});
  if (!arguments.has("dim")) x = reshape(x, {std::int64_t{-1}});
  const std::size_t dim = arguments.dim("dim", x.rank(), 0);
  const Integer times = arguments.integer("repeats", std::int64_t{1});
  Integers sizes = x.all_sizes();
  Integers wide = sizes;
  wide.insert(wide.begin() + static_cast<std::ptrdiff_t>(dim) + 1, times);
  sizes[dim] = multiply(arguments.builder(), sizes[dim], times);
  return reshape(broadcast(unsqueeze(x, dim + 1), wide), sizes);
}

// [..., channels · r², h, w] ↔ [..., channels, h · r, w · r].
Term pixels_shuffled(NodeArguments& arguments, bool up) {
  const Term x = arguments.tensor("self");
  if (x.rank() < 3) arguments.refuse("it takes images");
  const std::size_t front = x.rank() - 3;
  const std::int64_t r = arguments.known(up ? "upscale_factor" : "downscale_factor", 1);
  if (r < 1) arguments.refuse("its factor is not positive");
  PrimitiveBuilder& builder = arguments.builder();
  const auto divided = [&](const Integer& size, std::int64_t by) {
    return integer_arithmetic(builder, primitive::Binary::Kind::kFloorDivide, size, by);
  };
  const Integer channels = x.size(front);
  const Integer height = x.size(front + 1);
  const Integer width = x.size(front + 2);
  Integers split = x.all_sizes();
  split.resize(front);
  Integers sizes = split;
  const auto at = [&](std::size_t i) { return static_cast<std::int64_t>(front + i); };
  Ints axes = all_dims(front);
  if (up) {
    split.insert(split.end(), {divided(channels, r * r), r, r, height, width});
    axes.insert(axes.end(), {at(0), at(3), at(1), at(4), at(2)});
    sizes.insert(sizes.end(), {divided(channels, r * r), multiply(builder, height, r), multiply(builder, width, r)});
  } else {
    split.insert(split.end(), {channels, divided(height, r), r, divided(width, r), r});
    axes.insert(axes.end(), {at(0), at(2), at(4), at(1), at(3)});
    sizes.insert(sizes.end(), {multiply(builder, channels, r * r), divided(height, r), divided(width, r)});
  }
  return reshape(transpose(reshape(x, split), axes), sizes);
}

Term channels_shuffled(NodeArguments& arguments) {
  const Term x = arguments.tensor("self");
  const std::int64_t groups = arguments.known("groups", 1);
  if (groups < 1) arguments.refuse("it has no groups");
  const Integers sizes = x.all_sizes();
  Integers split = sizes;
  split.at(1) = integer_arithmetic(arguments.builder(), primitive::Binary::Kind::kFloorDivide, sizes[1], groups);
  split.insert(split.begin() + 1, groups);
  return reshape(swapped(reshape(x, split), 1, 2), sizes);
}

std::vector<Term> meshgrid(NodeArguments& arguments) {
  const bool xy = arguments.text("indexing", "ij") == "xy";
  std::vector<Term> axes;
  for (const auto& each : arguments.tensors("tensors")) axes.push_back(each.value());
  const auto place = [&](std::size_t i) { return xy && axes.size() > 1 && i < 2 ? 1 - i : i; };
  Integers sizes(axes.size(), std::int64_t{1});
  const auto length = [](const Term& axis) { return axis.rank() == 0 ? Integer(std::int64_t{1}) : axis.size(0); };
  for (std::size_t i = 0; i < axes.size(); ++i) sizes[place(i)] = length(axes[i]);
  std::vector<Term> grids;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    Integers own(axes.size(), std::int64_t{1});
    own[place(i)] = length(axes[i]);
    grids.push_back(broadcast(reshape(axes[i], own), sizes));
  }
  return grids;
}

}  // namespace

PrimitiveRows shape_rows() {
  return {
      {"_reshape_alias", viewed},
      {"_to_copy", converted},
      {"_unsafe_view", viewed},
      {"alias", same},
      {"alpha_dropout", undropped},
      {"broadcast_to", expanded},
      {"channel_shuffle", channels_shuffled},
      {"clone", same},
      {"contiguous", same},
      {"detach", same},
      {"dropout", undropped},
      {"expand", expanded},
      {"expand_as",
       [](NodeArguments& arguments) {
         return broadcast(arguments.tensor("self"), arguments.tensor("other").all_sizes());
       }},
      {"feature_alpha_dropout", undropped},
      {"feature_dropout", undropped},
      {"flatten", flattened},
      {"lift_fresh", same},
      {"lift_fresh_copy", same},
      {"mH", of_matrices},
      {"mT", of_matrices},
      {"matrix_H", of_matrices},
      {"meshgrid", meshgrid},
      {"moveaxis", dimensions_moved},
      {"movedim", dimensions_moved},
      {"permute", permuted},
      {"pixel_shuffle", [](NodeArguments& arguments) { return pixels_shuffled(arguments, true); }},
      {"pixel_unshuffle", [](NodeArguments& arguments) { return pixels_shuffled(arguments, false); }},
      {"positive", same},
      {"repeat", repeat},
      {"repeat_interleave.self_int", repeat_interleave},
      {"reshape", viewed},
      {"reshape_as", shaped_as},
      {"resolve_conj", same},
      {"resolve_neg", same},
      {"squeeze", squeezed},
      {"swapaxes", transposed},
      {"swapdims", transposed},
      {"t", of_matrices},
      {"tile", repeat},
      {"to", converted},
      {"transpose", transposed},
      {"type_as", converted},
      {"unflatten", unflattened},
      {"unsqueeze", unsqueezed},
      {"view", viewed},
      {"view_as", shaped_as},
  };
}

}  // namespace lockstep

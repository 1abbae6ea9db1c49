// What operators over images say of their spatial dimensions.
#pragma once

#include <cstddef>

#include "engine/artifacts/primitives/NodeArguments.h"

namespace lockstep {

/// How many there are, by the operator's name: adaptive_avg_pool2d has two. Refuses an operator whose name says none.
std::size_t spatial_dimensions(NodeArguments& arguments);

/// An integer for each of them: one stands for all, and none for `otherwise`. Refuses another number of them.
Ints for_each_spatial(NodeArguments& arguments, const char* name, std::size_t spatial, const Ints& otherwise);

}  // namespace lockstep

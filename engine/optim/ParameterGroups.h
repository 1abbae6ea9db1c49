// Which parameters are treated alike.
#pragma once

#include <string>
#include <vector>

#include "job/Hyperparameters.h"

namespace lockstep {

/// Whether `name` matches `pattern`, in which each `*` stands for any text.
bool matches(const std::string& pattern, const std::string& name);

/// The group of each parameter, its weight decay always set: the first whose pattern one of its names matches, else one
/// with `weight_decay` and a factor of 1. A parameter has several names when it is tied. InputError names a group that
/// no parameter belongs to: it would do nothing. `untrained`: what parameters that are not trained are called.
std::vector<ParameterGroup> assign_groups(const std::vector<std::vector<std::string>>& parameters,
                                          const std::vector<ParameterGroup>& groups, double weight_decay,
                                          const std::vector<std::string>& untrained = {});

}  // namespace lockstep

// Which parameters are treated alike.
#pragma once

#include <string>
#include <vector>

#include "job/Hyperparameters.h"

namespace lockstep {

/// Whether `name` matches `pattern`, in which each `*` stands for any text.
bool matches(const std::string& pattern, const std::string& name);

/// The group of each name, its weight decay always set: the first whose pattern it matches, else one with
/// `weight_decay` and a factor of 1. InputError names a group that no name belongs to: it would do nothing.
std::vector<ParameterGroup> assign_groups(const std::vector<std::string>& names,
                                          const std::vector<ParameterGroup>& groups, double weight_decay);

}  // namespace lockstep

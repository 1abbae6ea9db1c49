#include "engine/optim/ParameterGroups.h"

#include <algorithm>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

bool matches(const std::string& pattern, const std::string& name) {
  // After a mismatch, the last `*` takes one character more and matching goes on from there.
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string::npos;
  std::size_t star_end = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_end = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string::npos) {
      p = star + 1;
      n = ++star_end;
    } else {
      return false;
    }
  }
  return std::all_of(pattern.begin() + static_cast<std::ptrdiff_t>(p), pattern.end(), [](char c) { return c == '*'; });
}

std::vector<ParameterGroup> assign_groups(const std::vector<std::vector<std::string>>& parameters,
                                          const std::vector<ParameterGroup>& groups, double weight_decay,
                                          const std::vector<std::string>& untrained) {
  std::vector<bool> used(groups.size(), false);
  std::vector<ParameterGroup> assigned;
  for (const std::vector<std::string>& names : parameters) {
    const auto found = std::ranges::find_if(groups, [&](const ParameterGroup& group) {
      return std::ranges::any_of(names, [&](const std::string& name) { return matches(group.match, name); });
    });
    if (found == groups.end()) {
      assigned.push_back({.match = "*", .weight_decay = weight_decay, .learning_rate_factor = 1});
    } else {
      used[static_cast<std::size_t>(found - groups.begin())] = true;
      assigned.push_back(*found);
      if (!found->weight_decay) assigned.back().weight_decay = weight_decay;
    }
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (used[i]) continue;
    const auto idle = std::ranges::find_if(untrained, [&](const auto& name) { return matches(groups[i].match, name); });
    if (idle != untrained.end()) {
      throw InputError("parameter_groups: of the group " + in_quotes(groups[i].match) + " no parameter is trained: " +
                       *idle + " is frozen, or no operator uses it; leave the group out, or train what it matches");
    }
    std::vector<std::string> all;
    for (const std::vector<std::string>& names : parameters) all.push_back(join(names, " = "));
    throw InputError("parameter_groups: no parameter belongs to the group " + in_quotes(groups[i].match) +
                     ", or a group before it has them; the parameters are: " + join(all, ", "));
  }
  return assigned;
}

}  // namespace lockstep

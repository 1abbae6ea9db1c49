#include "engine/session/FrozenParameters.h"

#include <algorithm>
#include <cstdint>
#include <set>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/optim/ParameterGroups.h"

namespace lockstep {

void freeze_parameters(const Program& program, const std::vector<std::string>& patterns) {
  std::vector<std::string> names;
  std::set<std::string> used;
  for (const StateTensor& entry : program.state()) {
    if (entry.kind != InputKind::kParameter) continue;
    names.push_back(entry.name);
    for (const std::string& pattern : patterns) {
      if (!matches(pattern, entry.name)) continue;
      used.insert(pattern);
      at::Tensor(entry.tensor).set_requires_grad(false);
    }
  }
  for (const std::string& pattern : patterns) {
    if (used.contains(pattern)) continue;
    throw InputError("freeze: no parameter matches " + in_quotes(pattern) +
                     "; the parameters are: " + join(names, ", "));
  }
  if (program.trained_parameters().empty() && !patterns.empty()) {
    throw InputError("freeze=" + join(patterns, ",") +
                     " leaves no parameter to train; the parameters are: " + join(names, ", "));
  }
}

std::string trained_share(const Program& program) {
  const std::vector<StateTensor> state = program.state();
  const bool frozen = std::ranges::any_of(state, [](const StateTensor& entry) {
    return entry.kind == InputKind::kParameter && !entry.tensor.requires_grad();
  });
  if (!frozen) return "";
  std::int64_t count = 0;
  for (const StateTensor& entry : program.trained_parameters()) count += entry.tensor.numel();
  return "trains " + with_commas(count) + " of " + with_commas(program.parameter_count()) +
         " parameters; the rest is frozen";
}

}  // namespace lockstep

#include "engine/objective/SeenOutputs.h"

#include <algorithm>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

SeenOutputs see_outputs(const std::vector<std::string>& names, const std::string& asked, bool own_loss) {
  const auto find = [&](const std::string& name) -> std::optional<std::size_t> {
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) return std::nullopt;
    return static_cast<std::size_t>(found - names.begin());
  };
  if (!asked.empty() && !find(asked)) {
    throw InputError("output=" + asked + " is no output of the program; it returns " + join(names, ", "));
  }
  std::optional<std::size_t> output = find(!asked.empty() ? asked : own_loss ? "loss" : "logits");
  const bool named = output.has_value() || (!own_loss && names.size() == 1);
  return {.output = output.value_or(0), .named = named, .weight = own_loss ? find("weight") : std::nullopt};
}

}  // namespace lockstep

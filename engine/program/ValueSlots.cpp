#include "engine/program/ValueSlots.h"

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

std::size_t ValueSlots::define(const std::string& value) {
  const std::size_t slot = names_.size();
  if (!value.empty() && !slots_.emplace(value, slot).second) {
    throw InputError("the graph defines " + in_quotes(value) + " twice");
  }
  names_.push_back(value);
  return slot;
}

std::size_t ValueSlots::find(const std::string& value) const {
  const auto found = slots_.find(value);
  if (found == slots_.end()) throw InputError("the graph uses " + in_quotes(value) + " before anything defines it");
  return found->second;
}

}  // namespace lockstep

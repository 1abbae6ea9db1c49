#include "engine/collectives/NcclOperation.h"

namespace lockstep {

std::string NcclOperation::what() const {
  if (!type) return name;
  return std::string(name) + " of " + std::to_string(count) + " elements of " + name_of(*type);
}

std::string NcclOperation::text() const { return "rank " + std::to_string(rank) + ": " + what(); }

}  // namespace lockstep

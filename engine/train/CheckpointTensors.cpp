#include "engine/train/CheckpointTensors.h"

#include <string>

#include "common/Error.h"
#include "engine/train/NotFinite.h"

namespace lockstep {

NamedTensors saved_tensors(const Program& program) {
  NamedTensors tensors;
  for (const StateTensor& entry : program.state()) {
    if (entry.kind != InputKind::kConstant) tensors[entry.name] = entry.tensor;
  }
  return tensors;
}

void require_finite_checkpoint(const std::vector<StateTensor>& numbers) {
  if (const std::string found = find_not_finite(numbers); !found.empty()) {
    throw InputError(found + ": nothing good comes of going on from there");
  }
}

}  // namespace lockstep

#include "engine/train/CheckpointTensors.h"

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

void require_finite(const SavedTensors& saved, const std::string& name, const std::string& owner) {
  if (saved.is_finite(name)) return;
  throw InputError(owner + name + find_not_finite(saved.read(name)) + ": nothing good comes of going on from there");
}

}  // namespace lockstep

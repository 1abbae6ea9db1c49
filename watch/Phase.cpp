#include "watch/Phase.h"

#include <array>

namespace lockstep {

const char* name_of(Phase phase) {
  static constexpr std::array<const char*, kPhases> kNames = {"start",      "between steps", "data",      "forward",
                                                              "backward",   "reduction",     "optimizer", "device",
                                                              "evaluation", "checkpoint",    "artifacts", "done"};
  const auto number = static_cast<std::size_t>(phase);
  return number < kPhases ? kNames[number] : "unknown";
}

bool is_rare(Phase phase) {
  return phase == Phase::kStart || phase == Phase::kEvaluation || phase == Phase::kCheckpoint ||
         phase == Phase::kArtifacts;
}

}  // namespace lockstep

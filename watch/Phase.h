// What a rank may be doing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lockstep {

enum class Phase : std::uint32_t {
  kStart,         ///< until the first step: data and program are loaded, ranks agree, a checkpoint is read
  kBetweenSteps,  ///< what is neither a part of a step nor one of the others
  kData,          ///< waits for its loader
  kForward,
  kBackward,
  kReduction,  ///< waits until all gradients are reduced
  kOptimizer,
  kDevice,  ///< GPU: waits for what is enqueued there
  kEvaluation,
  kCheckpoint,
  kArtifacts,
  kDone,  ///< nothing is waited for any more
};
inline constexpr std::size_t kPhases = static_cast<std::size_t>(Phase::kDone) + 1;

/// As reports write it: "backward".
const char* name_of(Phase phase);
/// Whether it is no part of a step: it comes now and then and may take long.
bool is_rare(Phase phase);

}  // namespace lockstep

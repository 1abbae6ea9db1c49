// Rank 0's checkpoints for hosts that do not see its directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/checkpoint/ResumeChoice.h"
#include "engine/collectives/Communicator.h"

namespace lockstep {

constexpr std::size_t kCheckpointPiece = 4 << 20;

struct BroughtCheckpoint {
  std::int64_t step = 0;
  int hosts = 0;      ///< that have it now and did not find it before
  bool here = false;  ///< this rank has written it
};

/// Rank 0 writes checkpoints into its own host's directory, which the others may share, may have a copy of, or may not
/// see at all. The newest of this job that rank 0 has whole and that passes `check`, and that every other rank either
/// has alike or does not find, is brought to those that do not: rank 0 sends its files in pieces, and of the ranks that
/// name the same directory of the same host the first writes them there as they are. One that rank 0 or another rank
/// has damaged, or that differs, is left to choose_checkpoint, which comes next and says so; an older one may be
/// brought in its place. Where all find the same nothing is written.
///
/// `host`: the same number for the ranks of a host, and only for these. Throws CollectiveError, with nothing
/// half-written left, when a directory cannot be written: without the checkpoint the job would do its work anew. A
/// collective.
std::optional<BroughtCheckpoint> bring_checkpoint(Communicator& communicator, const CheckpointDirectory& directory,
                                                  const CheckpointCheck& check, int host,
                                                  std::size_t piece_bytes = kCheckpointPiece);

}  // namespace lockstep

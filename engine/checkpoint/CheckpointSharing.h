// Checkpoints for hosts that do not see the directory in which they are.
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

/// A checkpoint is in the directory of the host that wrote it, which other hosts may share, may have a copy of, or may
/// not see at all. The newest of this job that any rank has whole and that passes `check`, and that every other rank
/// either has alike or does not find, is brought to those that do not: the first rank that has it sends its files in
/// pieces, and of the ranks that name the same directory of the same host the first writes them there as they are. One
/// that some rank has damaged, or that differs, is left to choose_checkpoint, which comes next and says so; an older
/// one may be brought in its place. Where all find the same nothing is written.
///
/// `host`: the same number for the ranks of a host, and only for these. Throws CollectiveError, with nothing
/// half-written left, when a directory cannot be written: without the checkpoint the job would do its work anew. A
/// collective.
std::optional<BroughtCheckpoint> bring_checkpoint(Communicator& communicator, const CheckpointDirectory& directory,
                                                  const CheckpointCheck& check, int host,
                                                  std::size_t piece_bytes = kCheckpointPiece);

/// Whether this rank is the one that writes into its directory, where each host is to have a copy: the first of those
/// that name the same directory of the same host, unless it is that of a host before. Looks for what the others put
/// there for a moment; a directory that is missing is made, where it can be. `host` as above. A collective.
bool has_own_place(Communicator& communicator, const CheckpointDirectory& directory, int host);

}  // namespace lockstep

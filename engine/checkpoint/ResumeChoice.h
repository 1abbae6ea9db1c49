// Which checkpoint the ranks go on from.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/collectives/Communicator.h"

namespace lockstep {

/// What a rank finds in its directory, by step.
using Listing = std::map<std::int64_t, ListedCheckpoint>;

/// Of every rank, in the order of ranks. Throws CollectiveError when one cannot read its directory. A collective.
std::vector<Listing> list_on_all_ranks(Communicator& communicator, const CheckpointDirectory& directory);

struct ResumeChoice {
  std::optional<std::int64_t> step;      ///< nothing: the job starts anew
  std::vector<std::string> passed_over;  ///< newer ones, each with the reason why it is not used
};

/// Reads all files of a checkpoint, and may keep what it reads. Throws InputError when one is not as it was written,
/// and when the job cannot go on from what they hold.
using CheckpointCheck = std::function<void(std::int64_t step)>;

/// Why this rank cannot use the checkpoint, which it finds in its directory, as `check` says; "" when it can.
std::string problem_with(std::int64_t step, const CheckpointCheck& check);

/// The newest checkpoint of this job that every rank finds with the same manifest, and that passes `check` on every
/// rank: the last it is called with is the one chosen. Each rank looks into its own host's directory. Throws
/// CollectiveError on all ranks when there are only those of other jobs: the message names what differs from this one.
/// A collective.
ResumeChoice choose_checkpoint(Communicator& communicator, const CheckpointDirectory& directory,
                               const CheckpointCheck& check);

}  // namespace lockstep

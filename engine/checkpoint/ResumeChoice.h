// Which checkpoint the ranks go on from.
#pragma once

#include <cstdint>
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

/// The newest checkpoint of this job that every rank finds whole and with the same manifest; each rank looks into its
/// own host's directory. Throws CollectiveError on all ranks when there are only those of other jobs: the message names
/// what differs from this one. A collective.
ResumeChoice choose_checkpoint(Communicator& communicator, const CheckpointDirectory& directory);

}  // namespace lockstep

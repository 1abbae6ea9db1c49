// Going on from a checkpoint.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/report/EventSink.h"
#include "engine/train/RankContext.h"
#include "engine/train/Resumable.h"
#include "job/JobConfig.h"

namespace lockstep {

/// Finds the newest checkpoint of this job that all ranks can use, brings it to hosts that do not have it, and has
/// `trainer` restore it; with resume=never it only says which checkpoints will give way. Tells what it did as notes.
/// Throws CollectiveError on all ranks when the directory holds checkpoints of other jobs only, or when a checkpoint
/// cannot be brought or restored. Returns the step after which it was written, if there was one. A collective.
std::optional<std::int64_t> resume(const JobConfig& config, const CheckpointDirectory& checkpoints, Resumable& trainer,
                                   const RankContext& context, EventSink& events);

}  // namespace lockstep

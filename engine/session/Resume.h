// Going on from a checkpoint.
#pragma once

#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/report/EventSink.h"
#include "engine/train/RankContext.h"
#include "engine/train/Trainer.h"
#include "job/JobConfig.h"

namespace lockstep {

/// Finds the newest checkpoint of this job that all ranks can use, brings it to hosts that do not have it, and has the
/// trainer restore it; with resume=never it only says which checkpoints will give way. Tells what it did as notes.
/// Throws CollectiveError on all ranks when the directory holds checkpoints of other jobs only, or when a checkpoint
/// cannot be brought or restored. A collective.
void resume(const JobConfig& config, const CheckpointDirectory& checkpoints, Trainer& trainer,
            const RankContext& context, EventSink& events);

}  // namespace lockstep

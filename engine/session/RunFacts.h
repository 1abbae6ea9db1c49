// The first and the last event of a run, from what a session holds.
#pragma once

#include <filesystem>
#include <vector>

#include "engine/report/Events.h"
#include "engine/session/LoadedJob.h"
#include "engine/train/RankContext.h"
#include "engine/train/Trainer.h"
#include "job/JobConfig.h"

namespace lockstep {

RunStarted run_started(const JobConfig& config, const LoadedJob& job, Trainer& trainer, const RankContext& context);

/// `metrics`: of the state in the artifacts; `seconds`: since the session began.
RunEnded run_ended(const JobConfig& config, const LoadedJob& job, const TrainingResult& result, Metrics metrics,
                   const std::vector<std::filesystem::path>& artifacts, double seconds, const RankContext& context);

}  // namespace lockstep

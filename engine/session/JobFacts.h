// What a job says of the model that it trained, for the model card.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/report/Metrics.h"
#include "engine/session/LoadedJob.h"
#include "engine/train/RankContext.h"
#include "engine/train/Trainer.h"
#include "job/JobConfig.h"

namespace lockstep {

/// The step, the metrics, what its inputs are made of and how they are normalized, what class labels stand for, the
/// channels with their digests, the hyperparameters and the versions.
nlohmann::ordered_json job_facts(const JobConfig& config, const LoadedJob& job, const TrainingResult& result,
                                 const Metrics& metrics, const RankContext& context);

}  // namespace lockstep

// What a job says of the model that it trained, for the model card.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/artifacts/ServedProgram.h"
#include "engine/report/Metrics.h"
#include "engine/session/LoadedJob.h"
#include "engine/train/RankContext.h"
#include "engine/train/Trainer.h"
#include "job/JobConfig.h"

namespace lockstep {

/// What the classes of the target are called, in their order; empty where the data does not say.
std::vector<std::string> class_labels(const LoadedJob& job);

/// The form in which saved_model and onnx hold the job's program. Throws InputError for pixels that are not made
/// numbers of as serving does it.
ServedForm served_form(const Hyperparameters& hyperparameters, const LoadedJob& job);

/// The step, the metrics, what its inputs are made of and how they are normalized, what class labels stand for, the
/// channels with their digests, the hyperparameters and the versions.
nlohmann::ordered_json job_facts(const JobConfig& config, const LoadedJob& job, const TrainingResult& result,
                                 const Metrics& metrics, const RankContext& context);

}  // namespace lockstep

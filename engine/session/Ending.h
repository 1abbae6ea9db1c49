// What is done with a trained program.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/report/EventSink.h"
#include "engine/session/LoadedJob.h"
#include "engine/train/RankContext.h"
#include "engine/train/StopToken.h"
#include "engine/train/Trainer.h"
#include "job/JobConfig.h"

namespace lockstep {

/// Where a job's artifacts go.
struct ArtifactPlace {
  std::filesystem::path directory{};  ///< "": nowhere
  std::string note{};                 ///< what is to be said of it
};

/// In the model directory, but for a job that was stopped before its end: without a step it leaves no artifacts; and
/// where the model directory holds those of a job that finished, or of a stopped one that went further, these stay, and
/// the job's own are in kStoppedModel, in the directory for output data.
ArtifactPlace place_of_artifacts(const JobConfig& config, const TrainingResult& result);
inline constexpr const char* kStoppedModel = "stopped_model";

/// Rank 0 writes the job's artifacts of `result.program`, which is in its inference form and on the host, into
/// `directory`; "": none. What became of columns on their way to the program is in fields.json beside them, and
/// what else there is to know, with `metrics` of the program and what was measured of it `quantized`, on the model
/// card. All ranks wait for it, and throw alike when it cannot. Returns the artifacts' paths on rank 0. A collective.
std::vector<std::filesystem::path> export_artifacts(const JobConfig& config, const LoadedJob& job,
                                                    const TrainingResult& result, const Metrics& metrics,
                                                    const std::filesystem::path& directory, const RankContext& context,
                                                    const std::optional<Evaluation>& quantized = std::nullopt);

/// Evaluates `result.program` with the weights that quantize=int8-weights leaves it, on the channel that the job
/// evaluates on, and tells how the monitored metric changes. Nothing without that option, and when `stop` ended it
/// early. A collective.
std::optional<Evaluation> evaluate_quantized(const Hyperparameters& hyperparameters, const LoadedJob& job,
                                             const TrainingResult& result, Trainer& trainer, const RankContext& context,
                                             const StopRequested& stop, EventSink& events);

/// Evaluates `program` on the channel for tests, if there is one. Nothing when `stop` ended it early. Warns when the
/// loss is not finite. A collective.
std::optional<Evaluation> evaluate_test(const Hyperparameters& hyperparameters, const LoadedJob& job,
                                        const Program& program, Trainer& trainer, const RankContext& context,
                                        const StopRequested& stop, EventSink& events);

}  // namespace lockstep

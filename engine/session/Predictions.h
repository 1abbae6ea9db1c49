// What a trained program says of the samples of a channel.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "engine/report/EventSink.h"
#include "engine/session/LoadedJob.h"
#include "engine/train/RankContext.h"
#include "engine/train/StopToken.h"
#include "job/JobConfig.h"

namespace lockstep {

/// Writes predictions_CHANNEL.csv, or .parquet, into the job's directory for output data for each channel that
/// `predict` names: a line for each sample, in the order of the channel's files, and of the hosts where each has its
/// own. `program` is in its inference form and on the host. Rank 0 writes, each file as a whole or not at all; returns
/// their paths there. With `stop` on any rank the file at hand and all further ones are left out, and a note says so. A
/// collective; throws CollectiveError when a file cannot be written.
///
/// Columns: `sample`, counted from 0; `target`, where the channel has targets; `output`; and for a loss of class labels
/// `predicted`, the class with the largest output. What has several numbers has them as `target_0` and so on. Where the
/// training data names its classes, `target_label` and `predicted_label` are these names.
std::vector<std::filesystem::path> write_predictions(const JobConfig& config, const LoadedJob& job,
                                                     const Program& program, const RankContext& context,
                                                     const StopRequested& stop, EventSink& events);

}  // namespace lockstep

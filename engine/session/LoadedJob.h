// A job's data and program, which must fit each other.
#pragma once

#include <string>

#include "engine/objective/Objective.h"
#include "engine/session/JobData.h"
#include "engine/session/LoadedProgram.h"
#include "engine/session/Registries.h"
#include "engine/train/RankContext.h"
#include "job/JobConfig.h"

namespace lockstep {

/// All that a rank reads before it checks whether the job can run.
struct LoadedJob {
  Objective objective;
  JobData data;
  LoadedProgram program;
  std::string weights{};  ///< what came of the hyperparameter initial_weights, in words; "" without
  std::string index{};    ///< channels of which data_index_dir keeps nothing, in words; "" for none
};

/// Reads the program and then the data, which is of one of the formats or with data=synthetic made for the program,
/// with the targets that the objective takes. A built-in program is built for the data when that is read, of all hosts.
/// Throws CollectiveError for what cannot be used, and for ranks that read different channels. A collective.
LoadedJob load_job(const JobConfig& config, const Registries& registries, const RankContext& context);

}  // namespace lockstep

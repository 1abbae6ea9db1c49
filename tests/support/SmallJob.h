// A job that a test need only say of what it is about.
#pragma once

#include <filesystem>

#include "job/JobConfig.h"

namespace lockstep {

/// Trains a small mlp without dropout, on data that is not said yet, and writes below `directory`.
inline JobConfig small_job(const std::filesystem::path& directory) {
  JobConfig config;
  config.host = "here";
  config.output_dir = directory;
  config.model_dir = directory / "model";
  config.output_data_dir = directory / "data";
  config.hyperparameters.model = "mlp";
  config.hyperparameters.model_hidden = {8};
  config.hyperparameters.model_dropout = 0;
  return config;
}

}  // namespace lockstep

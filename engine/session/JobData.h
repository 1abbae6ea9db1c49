// The data sets of a job.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "engine/data/Dataset.h"
#include "engine/program/Graph.h"
#include "engine/train/NamedDataset.h"
#include "job/JobConfig.h"

namespace lockstep {

/// Data sets by channel, and what each channel is for.
struct JobData {
  std::string train;
  std::string evaluation;  ///< evaluated while training; "" when there is none
  std::string test;        ///< evaluated once, at the end; "" when there is none
  std::map<std::string, std::unique_ptr<Dataset>> datasets;

  NamedDataset of(const std::string& channel) const { return {channel, datasets.at(channel).get()}; }
  NamedDataset training() const { return of(train); }
  std::optional<NamedDataset> evaluated() const {
    return evaluation.empty() ? std::nullopt : std::optional(of(evaluation));
  }
  /// The data by which the program is tried out.
  NamedDataset probed() const { return evaluation.empty() ? training() : of(evaluation); }
};

/// Reads the channels that the job trains on, evaluates and tests; targets are class labels if they can be and
/// `class_labels` says so, else real numbers. Throws InputError for what cannot be used.
JobData load_channels(const JobConfig& config, bool class_labels);

/// Made-up samples that fit the program. Throws InputError when none do.
JobData synthetic_data(const Hyperparameters& hyperparameters, const Graph& graph, bool class_labels);

/// Gives the inputs of each channel the sizes that the program states: pictures may come with a dimension for their one
/// channel or without.
void fit_inputs(const JobData& data, const Graph& graph);

}  // namespace lockstep

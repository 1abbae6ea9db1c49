// The data of a job.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/data/Formats.h"
#include "engine/data/ProgramSamples.h"
#include "engine/objective/Loss.h"
#include "engine/program/Program.h"
#include "engine/train/NamedDataset.h"
#include "engine/train/RankContext.h"
#include "job/JobConfig.h"

namespace lockstep {

/// What the hyperparameter `predict` says of a channel.
struct PredictRequest {
  std::string channel;
  std::string format;  ///< "csv" or "parquet": the file's ending
};

/// CHANNEL, which is CSV, CHANNEL:csv or CHANNEL:parquet. Throws InputError for another format.
PredictRequest predict_request(const std::string& text);

/// A channel for whose samples outputs are asked for.
struct Predicted {
  ProgramSamples samples;
  bool has_targets = true;  ///< else those of `samples`, if there are any, are made up

  /// Of a sample's target; 0: it has none.
  std::int64_t target_numbers() const { return has_targets && samples.has_targets() ? samples.target().numbers() : 0; }
};

/// What each channel is for, and its samples as the job's program takes them.
struct JobData {
  std::string train{};
  std::string evaluation{};  ///< evaluated while training; "" when there is none
  std::string test{};        ///< evaluated once, at the end; "" when there is none
  std::map<std::string, ProgramSamples> samples{};
  std::string fields{};  ///< what becomes of columns (write_recipes); "" when nothing was said of them
  std::map<std::string, Predicted> predicted{};  ///< by channel, whatever else it is for

  NamedDataset of(const std::string& channel) const { return {channel, &samples.at(channel)}; }
  NamedDataset training() const { return of(train); }
  std::optional<NamedDataset> evaluated() const {
    return evaluation.empty() ? std::nullopt : std::optional(of(evaluation));
  }
  /// The data by which the program is tried out.
  NamedDataset probed() const { return evaluation.empty() ? training() : of(evaluation); }
};

using Channels = std::map<std::string, OpenedChannel>;  ///< by name

/// What `validation_share` holds back of the training channel.
inline constexpr const char* kHeldBackChannel = "validation";

/// Which channels the job trains on, evaluates and tests; no samples yet. Throws InputError when there is none to train
/// on, and when outputs are asked for of one that is not there.
JobData choose_channels(const JobConfig& config);

/// Which of the channels that are given have no use in the job, in words; "" when each has one. `data`: with its
/// samples and what is predicted. A channel may also hold the program or its initial weights.
std::string describe_unused_channels(const JobConfig& config, const JobData& data);

/// Opens the chosen channels, and those that `predict` names, on all ranks (share_channel), of any of the formats; for
/// the program of `graph`, unless it is null: one that is built for them. Throws CollectiveError for what cannot be
/// used. A collective.
Channels open_channels(const JobConfig& config, const JobData& chosen, const Formats& formats, const Graph* graph,
                       const RankContext& context);

/// How columns become what a program computes on, for this loss.
ColumnOptions column_options(const Hyperparameters& hyperparameters, const Loss& loss);

/// Joins a channel's columns to inputs. Throws InputError when they do not fit; it names what the channel holds
/// besides, where a missing column may be.
ProgramSamples join_columns(const OpenedChannel& channel, const std::vector<ProgramInput>& inputs,
                            const ColumnOptions& options);

/// Joins a channel's columns to the program's inputs. Throws InputError, naming the channel, when they do not fit: an
/// input has no column, or holds integers that the program has no row for.
void add_samples(JobData& data, const std::string& channel, const OpenedChannel& opened, const Program& program,
                 const ColumnOptions& options);

/// Joins a channel that `predict` names to the program's inputs, as add_samples does, unless that is done. Targets are
/// made up where it lacks the training channel's column of them.
void add_predicted(JobData& data, const std::string& channel, const OpenedChannel& opened, const Program& program,
                   const ColumnOptions& options);

/// Where hosts have samples of their own, each learns how many classes all have together. A collective.
void share_classes(ProgramSamples& samples, Communicator& communicator);
/// Throws InputError when samples are to be varied in a way that those of the training channel cannot be.
void check_variation(const JobData& data, const Hyperparameters& hyperparameters);

/// The error of a channel that a program cannot take, because of `error`.
InputError does_not_fit(const std::string& channel, const Program& program, const InputError& error);

}  // namespace lockstep

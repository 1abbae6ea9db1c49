// Whether a rank can take part in a step, found out before the others wait for it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "engine/data/ProgramSamples.h"
#include "engine/program/Executor.h"
#include "engine/session/LoadedJob.h"
#include "engine/train/RankContext.h"
#include "engine/train/TrainedModel.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Knows what the program and the loss take of a batch of the caller's. Samples of sizes that have not been here yet
/// are tried on the program's inference form; what their integers and targets may be is looked at in each batch. No
/// collective.
class BatchFit {
 public:
  /// Keeps references to all of these.
  BatchFit(const LoadedJob& job, const TrainedModel& model, const Hyperparameters& hyperparameters,
           const RankContext& context);

  /// Throws InputError, saying what was expected, for samples that the program or the loss does not take. `alone`: a
  /// sample is to be trained on by itself, which a batch norm may not take. A loss of the caller's is not called.
  void require(ProgramSamples& samples, bool alone);

 private:
  using Sizes = std::vector<std::vector<std::int64_t>>;  ///< of a sample, by column

  /// Returns how many classes the program tells apart; nothing where targets are no class labels.
  std::optional<std::int64_t> try_out(ProgramSamples& samples, bool alone);
  void require_sizes(const ProgramSamples& samples) const;

  const LoadedJob& job_;
  const TrainedModel& model_;
  const Hyperparameters& hyperparameters_;
  RankContext context_;
  std::vector<ProgramInput> inputs_;
  std::vector<std::optional<std::int64_t>> vocabularies_;  ///< by input
  bool normalizes_ = false;                                ///< each rank's samples by their own statistics
  Executor executor_;
  std::map<std::pair<Sizes, bool>, std::optional<std::int64_t>> classes_;  ///< of what has been tried
};

}  // namespace lockstep

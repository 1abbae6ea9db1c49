// All of a checkpoint that is not a tensor.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/data/Loader.h"
#include "engine/optim/LossScale.h"
#include "engine/optim/Plateau.h"

namespace lockstep {

constexpr const char* kStateFile = "state.json";
constexpr std::uint64_t kMaxStateFile = 64 << 20;

/// What was measured of a state, by metric.
struct SavedEvaluation {
  std::int64_t step = 0;
  std::map<std::string, double> metrics{};
  std::map<std::string, std::vector<std::vector<double>>> tables{};  ///< rows of numbers
};

/// `state.json`: where training stands after a step. Numbers that are not finite are written as texts.
struct CheckpointState {
  std::int64_t step = 0;
  LoaderPosition position{};  ///< of the next step; step = steps of the epoch: its evaluation comes next
  double epoch_loss = 0;      ///< of the epoch so far: Σ loss × weight, without skipped steps
  /// In that sum: samples, by what their positions weigh on average. In the file it is named `epoch_samples`.
  double epoch_weight = 0;
  std::int64_t evaluated_step = 0;  ///< after which the last evaluation was; 0: there was none
  std::int64_t evaluations_since_best = 0;
  std::optional<SavedEvaluation> best{};
  std::optional<SavedEvaluation> last{};
  std::optional<LossScale::State> loss_scale{};
  std::optional<Plateau::State> plateau{};  ///< of the learning rate; in the file only with schedule=plateau
  std::int64_t average_updates = 0;         ///< of the weights' moving average; in the file unless it is 0
  std::map<std::string, std::int64_t> optimizer_steps{};  ///< updates of each parameter
  /// What each rank has trained on since its running statistics were averaged; its length is the number of ranks.
  std::vector<std::int64_t> samples_since_average{};
  JobItems job{};
};

std::string write_state(const CheckpointState& state);

/// Throws InputError, with `origin`, for text that write_state did not write.
CheckpointState read_state(const std::string& text, const std::string& origin);

}  // namespace lockstep

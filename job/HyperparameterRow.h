// A row of the table of hyperparameters.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "job/Hyperparameters.h"
#include "job/RawValue.h"

namespace lockstep {

/// Whose value of a hyperparameter may be another one than the rest of the job has.
enum class Own {
  kNobody,
  kRanks,  ///< hosts are given the same, and each makes of it what fits its ranks
  kHosts,  ///< what a host is given may differ, too
};

/// One hyperparameter, with all that is said of it anywhere. `set` throws InputError saying what is accepted; the
/// caller adds the name and the value found.
struct HyperparameterRow {
  using Question = std::function<bool(const Hyperparameters&)>;

  std::string name;
  std::string type;
  std::string help;
  std::function<void(Hyperparameters&, const RawValue&)> set;
  std::function<nlohmann::json(const Hyperparameters&)> get;
  /// Why a value given for it does nothing in this job; "" when it does something.
  std::function<std::string(const Hyperparameters&)> idle{};
  /// Whether a job that goes on from a checkpoint may have another value than the one that wrote it.
  Question may_change = [](const Hyperparameters&) { return false; };
  /// What a checkpoint means that does not name it: its default when it was added, for those that were added after the
  /// first checkpoints were written. It stays when the default changes.
  std::optional<nlohmann::json> unnamed{};
  /// Whether its value does something only where there is a place for checkpoints.
  Question needs_checkpoints = [](const Hyperparameters&) { return false; };
  Own own = Own::kNobody;
  bool of_losses = false;  ///< only losses that say so read it: the engine refuses it beside another

  HyperparameterRow&& unless(std::function<std::string(const Hyperparameters&)> reason) && {
    idle = std::move(reason);
    return std::move(*this);
  }
  HyperparameterRow&& changeable() && {
    return std::move(*this).changeable_when([](const Hyperparameters&) { return true; });
  }
  HyperparameterRow&& changeable_when(Question when) && {
    may_change = std::move(when);
    return std::move(*this);
  }
  HyperparameterRow&& unnamed_means(nlohmann::json value) && {
    unnamed = std::move(value);
    return std::move(*this);
  }
  HyperparameterRow&& for_checkpoints_when(Question when) && {
    needs_checkpoints = std::move(when);
    return std::move(*this);
  }
  HyperparameterRow&& own_to(Own whose) && {
    own = whose;
    return std::move(*this);
  }
  HyperparameterRow&& for_losses() && {
    of_losses = true;
    return std::move(*this);
  }
};

}  // namespace lockstep

// Where a rank is, as a value.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "watch/CollectiveTypes.h"
#include "watch/ProcessState.h"
#include "watch/RankPage.h"

namespace lockstep {

/// The collective that a rank waits in, or the last that it has called.
struct LastCollective {
  std::uint64_t sequence = 0;
  Collective operation = Collective::kBarrier;
  std::uint64_t count = 0;
  DataType type = DataType::kByte;
  bool left = false;   ///< it does not wait in it
  double seconds = 0;  ///< since that is so

  /// Whether two ranks mean the same one.
  bool same_as(const LastCollective& other) const {
    return sequence == other.sequence && operation == other.operation && count == other.count && type == other.type;
  }
};

/// "collective 311 (all_reduce of 4,096 float32)".
std::string describe(const LastCollective& collective);

struct RankState {
  int rank = 0;
  std::string host{};
  int pid = 0;  ///< 0: the rank has not come
  ProcessState process = ProcessState::kRunning;
  Phase phase = Phase::kStart;
  double phase_seconds = 0;  ///< that it is in it
  double usual_seconds = 0;  ///< that the phase has lately taken at most
  std::uint64_t step = 0;    ///< counted from 1; 0: before the first one
  std::uint64_t steps = 0;   ///< that the process has made
  double busy_seconds = 0;   ///< of all of these, without waits for others
  double last_step_seconds = 0;
  std::string failure{};  ///< of a collective, as MPI or NCCL has put it to this rank; "" as a rule
  std::optional<LastCollective> collective{};

  /// Whether it waits for other ranks, or for its device, which may wait for theirs.
  bool waits() const { return (collective && !collective->left) || phase == Phase::kDevice; }
  /// How long nothing has changed in it.
  double seconds_still() const;

  nlohmann::json to_json() const;
  /// Nothing for what is no state.
  static std::optional<RankState> from_json(const nlohmann::json& json);
};

/// Reads a page. A rank that is no process of this machine's is gone.
RankState state_of(const RankPage& page, const std::string& host);

}  // namespace lockstep

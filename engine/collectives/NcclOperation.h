// What a rank was doing when a call of NCCL or CUDA failed.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "engine/collectives/Communicator.h"

namespace lockstep {

/// A value; it costs nothing until an error asks for its text.
struct NcclOperation {
  int rank = 0;
  const char* name = "";
  std::size_t count = 0;
  std::optional<DataType> type = std::nullopt;  ///< of a collective

  /// "all_reduce of 4096 elements of float32"
  std::string what() const;
  /// The same behind "rank 1: ".
  std::string text() const;
};

}  // namespace lockstep

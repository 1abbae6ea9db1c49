// Who holds what memory, for a rank that has none left.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "engine/report/Events.h"

namespace lockstep {

/// What a rank knows of its memory, in bytes.
struct MemoryHeld {
  std::optional<MemoryUse> by_training{};  ///< nothing before it has been given any
  std::int64_t most = 0;                   ///< that the process has held of the memory of `device`
  std::string device{};                    ///< in words
  bool on_gpu = false;
  int ranks_on_host = 1;
  std::int64_t samples_at_once = 0;  ///< of a micro-batch; 0: not known
};

/// A line for each that holds some, what the host has, and what to change. `root`: below which the system's files are.
std::string memory_table(const MemoryHeld& held, const std::filesystem::path& root = "/");

}  // namespace lockstep

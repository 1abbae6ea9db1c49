// A checkpoint's files, as a checkpoint in memory.
#pragma once

#include <filesystem>

#include "engine/checkpoint/Checkpoint.h"

namespace lockstep {

inline NamedTensors load(const SavedTensors& saved) {
  NamedTensors tensors;
  for (const auto& [name, entry] : saved.entries()) tensors[name] = saved.read(name);
  return tensors;
}

inline Checkpoint load(const SavedCheckpoint& saved) {
  return {.state = saved.state,
          .model = load(saved.model),
          .optimizer = load(saved.optimizer),
          .statistics = load(saved.statistics),
          .best = load(saved.best)};
}

/// All files of the directory, whatever they hold now.
inline SavedCheckpoint open_as_it_is(const std::filesystem::path& directory) {
  return open_checkpoint(directory, list_files(directory));
}

}  // namespace lockstep

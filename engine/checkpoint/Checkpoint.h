// A checkpoint in memory, and in its files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/artifacts/Safetensors.h"
#include "engine/checkpoint/CheckpointState.h"
#include "engine/checkpoint/SavedTensors.h"

namespace lockstep {

/// All that a job needs to go on, on this or another number of ranks and in any bucket plan. In a directory:
///
///   state.json               CheckpointState
///   model.safetensors        parameters and buffers by their dotted names; running statistics are the ranks' average
///   optimizer.safetensors    each parameter's state in the parameter's shape: `momentum/fc.weight`
///   statistics.safetensors   what differs by rank: running statistics and their counters, with one row for each rank
///   best.safetensors         parameters and buffers of the best state, when artifacts hold it
///
/// The last two are there when there is something in them. Each file says of which step it is: `step` of the state, and
/// of the tensors' metadata.
struct Checkpoint {
  CheckpointState state;
  NamedTensors model;
  NamedTensors optimizer;
  NamedTensors statistics;
  NamedTensors best;
  bool optimizer_is_apart = false;  ///< its tensors here are copies, which training does not change
};

/// Bytes of all of its tensors.
std::uintmax_t bytes_of(const Checkpoint& checkpoint);

/// Throws SystemError, before anything is written where there is no room for all.
void write_checkpoint(const Checkpoint& checkpoint, const std::filesystem::path& directory);

/// A checkpoint whose files are what was written, and whose tensors are still in them.
struct SavedCheckpoint {
  CheckpointState state;
  SavedTensors model;
  SavedTensors optimizer;
  SavedTensors statistics;
  SavedTensors best;
};

/// Reads each file once, and keeps none of its tensors in memory. `written`: all that there were
/// (CheckpointDirectory::files). Throws InputError, naming the file, when one of them is missing or has other bytes
/// now, when write_checkpoint did not write it, and when some are of another step than others.
SavedCheckpoint open_checkpoint(const std::filesystem::path& directory, const std::vector<ListedFile>& written);

}  // namespace lockstep

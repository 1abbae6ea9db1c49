// SageMaker's input mode Pipe.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "launch/Job.h"
#include "launch/Preflight.h"
#include "launch/Supervisor.h"

namespace lockstep {

/// A host's streamed channels, copied into directories of files before its ranks start. So they can be read in any
/// order, from any step, as often as there are epochs: later epochs' FIFOs are not opened. As long as this object lives
/// the files are there.
class PipedChannels {
 public:
  /// Stays until all streams have ended, and says on standard output how far they are. All are read at once: whoever
  /// writes them may do so in any order. Calls `attend` several times a second. Throws StopError when a signal comes,
  /// as PipedStream does, and what `attend` throws. Nothing is left behind then.
  PipedChannels(
      Supervisor& supervisor, const Job& job, const std::function<void()>& attend = [] {});

  /// By channel: of the streamed ones.
  const std::map<std::string, std::filesystem::path>& directories() const { return directories_; }

 private:
  std::optional<PrivateDirectory> place_;  ///< none when no channel is streamed
  std::map<std::string, std::filesystem::path> directories_;
};

}  // namespace lockstep

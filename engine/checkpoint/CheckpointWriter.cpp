#include "engine/checkpoint/CheckpointWriter.h"

#include <filesystem>

namespace lockstep {

std::vector<std::string> CheckpointWriter::write(const Snapshot& snapshot) const {
  directory_.write(snapshot.step(),
                   [&](const std::filesystem::path& place) { write_checkpoint(snapshot.contents(), place); });
  return directory_.keep_newest(keep_, snapshot.step());
}

}  // namespace lockstep

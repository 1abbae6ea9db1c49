// A directory for one test's files that the ranks of a test share.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "engine/collectives/Communicator.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {

/// Rank 0 makes it and removes it when all are done with it. A collective, as is its end.
class SharedDirectory {
 public:
  explicit SharedDirectory(Communicator& communicator) : communicator_(communicator) {
    if (communicator.rank() == 0) directory_.emplace();
    path_ = communicator.all_gather(directory_ ? directory_->path().string() : std::string()).front();
  }
  SharedDirectory(const SharedDirectory&) = delete;
  SharedDirectory& operator=(const SharedDirectory&) = delete;
  ~SharedDirectory() { communicator_.barrier(); }

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  Communicator& communicator_;
  std::optional<TemporaryDirectory> directory_;
  std::filesystem::path path_;
};

}  // namespace lockstep

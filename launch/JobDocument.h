// A job in memory, for the processes that this one starts.
#pragma once

#include <string>

#include "common/File.h"
#include "job/JobConfig.h"

namespace lockstep {

/// A document without a name in any directory: nothing is left behind, and no argument or variable is too long for it.
/// It is there as long as this object, or a process that has inherited it.
class JobDocument {
 public:
  explicit JobDocument(const JobConfig& config);

  /// For this process, and for one that takes its place.
  std::string own_path() const;
  /// For other processes of the same user.
  std::string path() const;

 private:
  FileDescriptor memory_;
};

}  // namespace lockstep

// The numbers of a job as JSON lines, for programs to read.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "common/File.h"

namespace lockstep {

/// `metrics.jsonl`: one JSON object per line, in the order of events. Started anew by each job; every line is in the
/// file when `write` returns. Throws SystemError.
class MetricsFile {
 public:
  /// Makes the directory if it is missing; InputError when that cannot be done.
  explicit MetricsFile(const std::filesystem::path& directory);
  void write(const nlohmann::json& line);
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  OutputFile file_;
};

}  // namespace lockstep

#include "engine/report/MetricsFile.h"

#include <nlohmann/json.hpp>

#include "common/Error.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

fs::path in_directory(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) throw InputError("cannot make the output directory " + directory.string() + ": " + error.message());
  return directory / "metrics.jsonl";
}

}  // namespace

MetricsFile::MetricsFile(const fs::path& directory) : path_(in_directory(directory)), file_(path_) {}

void MetricsFile::write(const nlohmann::json& line) { file_.write(line.dump() + "\n"); }

}  // namespace lockstep

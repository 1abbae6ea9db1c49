#include "engine/checkpoint/Checkpoint.h"

#include <algorithm>
#include <span>

#include "common/Crc32c.h"
#include "common/Error.h"
#include "common/File.h"
#include "common/FreeSpace.h"
#include "common/Text.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr const char* kModelFile = "model.safetensors";
constexpr const char* kOptimizerFile = "optimizer.safetensors";
constexpr const char* kStatisticsFile = "statistics.safetensors";
constexpr const char* kBestFile = "best.safetensors";
constexpr const char* kStep = "step";

/// The files of a checkpoint, of which each is read once.
class FileReader {
 public:
  FileReader(const fs::path& directory, const std::vector<ListedFile>& written)
      : directory_(directory), left_(written) {
    check_sizes(directory, written);
  }

  bool has(const char* name) const { return std::ranges::find(left_, name, &ListedFile::name) != left_.end(); }

  CheckpointState state() {
    const fs::path path = directory_ / kStateFile;
    const std::string text = read_file(path, kMaxStateFile);
    require_written(kStateFile, crc32c(std::as_bytes(std::span(text))));
    return read_state(text, path.string());
  }

  // Older ones do not say of which step they are.
  SavedTensors tensors(const char* name, std::int64_t step) {
    const fs::path path = directory_ / name;
    SavedTensors tensors(path);
    require_written(name, tensors.crc32c());
    const auto tag = tensors.metadata().find(kStep);
    if (tag != tensors.metadata().end() && tag->second != std::to_string(step)) {
      throw InputError(path.string() + " is of step " + in_quotes(tag->second) + ", the state beside it of step " +
                       std::to_string(step));
    }
    return tensors;
  }

  // Of which nothing has been taken.
  void check_others() const { check_contents(directory_, left_); }

 private:
  void require_written(const char* name, std::uint32_t checksum) {
    const auto file = std::ranges::find(left_, name, &ListedFile::name);
    const std::string path = (directory_ / name).string();
    if (file == left_.end()) throw InputError(path + " is not in the checkpoint's manifest");
    if (format("%08x", checksum) != file->crc32c) throw InputError(path + " was not read as it was written");
    left_.erase(file);
  }

  fs::path directory_;
  std::vector<ListedFile> left_;
};

}  // namespace

std::uintmax_t bytes_of(const Checkpoint& checkpoint) {
  std::uintmax_t bytes = 0;
  for (const NamedTensors* tensors :
       {&checkpoint.model, &checkpoint.optimizer, &checkpoint.statistics, &checkpoint.best}) {
    for (const auto& [name, tensor] : *tensors) bytes += tensor.nbytes();
  }
  return bytes;
}

void write_checkpoint(const Checkpoint& checkpoint, const fs::path& directory) {
  require_room(directory, bytes_of(checkpoint));
  OutputFile state(directory / kStateFile);
  state.write(write_state(checkpoint.state));
  state.close();
  const auto write = [&](const NamedTensors& tensors, const char* name) {
    write_safetensors(tensors, {{kStep, std::to_string(checkpoint.state.step)}}, directory / name);
  };
  write(checkpoint.model, kModelFile);
  write(checkpoint.optimizer, kOptimizerFile);
  if (!checkpoint.statistics.empty()) write(checkpoint.statistics, kStatisticsFile);
  if (!checkpoint.best.empty()) write(checkpoint.best, kBestFile);
}

SavedCheckpoint open_checkpoint(const fs::path& directory, const std::vector<ListedFile>& written) {
  FileReader files(directory, written);
  try {
    SavedCheckpoint saved{.state = files.state(), .model = {}, .optimizer = {}, .statistics = {}, .best = {}};
    const std::int64_t step = saved.state.step;
    const auto optional = [&](const char* name) {
      return files.has(name) ? files.tensors(name, step) : SavedTensors();
    };
    saved.model = files.tensors(kModelFile, step);
    saved.optimizer = files.tensors(kOptimizerFile, step);
    saved.statistics = optional(kStatisticsFile);
    saved.best = optional(kBestFile);
    files.check_others();
    return saved;
  } catch (const InputError&) {
    files.check_others();  // what is damaged can look like anything else
    throw;
  }
}

}  // namespace lockstep

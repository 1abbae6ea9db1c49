#include "engine/checkpoint/Checkpoint.h"

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <span>
#include <sstream>
#include <utility>

#include "common/Crc32c.h"
#include "common/Error.h"
#include "common/File.h"
#include "common/FreeSpace.h"
#include "common/Text.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

std::string description(const at::Tensor& tensor) {
  std::ostringstream text;
  text << c10::toString(tensor.scalar_type()) << " of " << tensor.sizes();
  return text.str();
}

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
  NamedTensors tensors(const char* name, std::int64_t step) {
    const fs::path path = directory_ / name;
    auto [tensors, metadata, checksum] = read_safetensors_content(path);
    require_written(name, checksum);
    const auto tag = metadata.find(kStep);
    if (tag != metadata.end() && tag->second != std::to_string(step)) {
      throw InputError(path.string() + " is of step " + in_quotes(tag->second) + ", the state beside it of step " +
                       std::to_string(step));
    }
    return std::move(tensors);
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

Checkpoint read_checkpoint(const fs::path& directory, const std::vector<ListedFile>& written) {
  FileReader files(directory, written);
  try {
    Checkpoint read{.state = files.state(), .model = {}, .optimizer = {}, .statistics = {}, .best = {}};
    const std::int64_t step = read.state.step;
    const auto optional = [&](const char* name) {
      return files.has(name) ? files.tensors(name, step) : NamedTensors();
    };
    read.model = files.tensors(kModelFile, step);
    read.optimizer = files.tensors(kOptimizerFile, step);
    read.statistics = optional(kStatisticsFile);
    read.best = optional(kBestFile);
    files.check_others();
    return read;
  } catch (const InputError&) {
    files.check_others();  // what is damaged can look like anything else
    throw;
  }
}

void require_tensors(const NamedTensors& saved, const NamedTensors& like) {
  for (const auto& [name, tensor] : like) {
    const auto found = saved.find(name);
    if (found == saved.end()) throw InputError("the checkpoint lacks the tensor " + in_quotes(name));
    if (found->second.scalar_type() != tensor.scalar_type() || found->second.sizes() != tensor.sizes()) {
      throw InputError("the checkpoint's tensor " + in_quotes(name) + " is " + description(found->second) +
                       "; the job's is " + description(tensor));
    }
  }
}

void restore_tensors(const NamedTensors& saved, const NamedTensors& into) {
  require_tensors(saved, into);
  const c10::NoGradGuard no_grad;
  for (const auto& [name, tensor] : into) tensor.copy_(saved.at(name));
}

}  // namespace lockstep

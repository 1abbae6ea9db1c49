#include "engine/checkpoint/Checkpoint.h"

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

#include <sstream>

#include "common/Error.h"
#include "common/File.h"
#include "common/FreeSpace.h"
#include "common/Text.h"
#include "engine/files/SafetensorsFile.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

std::string description(const at::Tensor& tensor) {
  std::ostringstream text;
  text << c10::toString(tensor.scalar_type()) << " of " << tensor.sizes();
  return text.str();
}

constexpr const char* kStep = "step";

// Older ones do not say of which step they are.
NamedTensors read_tensors(const fs::path& path, std::int64_t step) {
  const SafetensorsFile file(path);
  const auto tag = file.metadata().find(kStep);
  if (tag != file.metadata().end() && tag->second != std::to_string(step)) {
    throw InputError(path.string() + " is of step " + in_quotes(tag->second) + ", the state beside it of step " +
                     std::to_string(step));
  }
  return read_safetensors(path);
}

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
  write(checkpoint.model, "model.safetensors");
  write(checkpoint.optimizer, "optimizer.safetensors");
  if (!checkpoint.statistics.empty()) write(checkpoint.statistics, "statistics.safetensors");
  if (!checkpoint.best.empty()) write(checkpoint.best, "best.safetensors");
}

Checkpoint read_checkpoint(const fs::path& directory) {
  Checkpoint read{
      .state = read_state(read_file(directory / kStateFile, kMaxStateFile), (directory / kStateFile).string()),
      .model = {},
      .optimizer = {},
      .statistics = {},
      .best = {}};
  const std::int64_t step = read.state.step;
  const auto optional = [&](const char* name) {
    return fs::exists(directory / name) ? read_tensors(directory / name, step) : NamedTensors();
  };
  read.model = read_tensors(directory / "model.safetensors", step);
  read.optimizer = read_tensors(directory / "optimizer.safetensors", step);
  read.statistics = optional("statistics.safetensors");
  read.best = optional("best.safetensors");
  return read;
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

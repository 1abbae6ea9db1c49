#include "engine/checkpoint/Checkpoint.h"

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

#include <sstream>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

std::string description(const at::Tensor& tensor) {
  std::ostringstream text;
  text << c10::toString(tensor.scalar_type()) << " of " << tensor.sizes();
  return text.str();
}

}  // namespace

void write_checkpoint(const Checkpoint& checkpoint, const fs::path& directory) {
  OutputFile state(directory / kStateFile);
  state.write(write_state(checkpoint.state));
  state.close();
  write_safetensors(checkpoint.model, {}, directory / "model.safetensors");
  write_safetensors(checkpoint.optimizer, {}, directory / "optimizer.safetensors");
  if (!checkpoint.statistics.empty())
    write_safetensors(checkpoint.statistics, {}, directory / "statistics.safetensors");
  if (!checkpoint.best.empty()) write_safetensors(checkpoint.best, {}, directory / "best.safetensors");
}

Checkpoint read_checkpoint(const fs::path& directory) {
  const auto optional = [&](const char* name) {
    return fs::exists(directory / name) ? read_safetensors(directory / name) : NamedTensors();
  };
  return {.state = read_state(read_file(directory / kStateFile, kMaxStateFile), (directory / kStateFile).string()),
          .model = read_safetensors(directory / "model.safetensors"),
          .optimizer = read_safetensors(directory / "optimizer.safetensors"),
          .statistics = optional("statistics.safetensors"),
          .best = optional("best.safetensors")};
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

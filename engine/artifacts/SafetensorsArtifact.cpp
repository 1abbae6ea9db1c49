#include "engine/artifacts/SafetensorsArtifact.h"

#include "common/Error.h"
#include "engine/artifacts/Safetensors.h"

namespace lockstep {

namespace {

bool in_state_dict(const GraphInput& input) {
  return input.kind == InputKind::kParameter || (input.kind == InputKind::kBuffer && input.persistent);
}

}  // namespace

void SafetensorsArtifact::write(const Program& program, const std::filesystem::path& directory) const {
  NamedTensors tensors;
  for (const GraphInput& input : program.graph().inputs) {
    if (in_state_dict(input)) tensors[input.state_name] = program.tensor(input);
  }
  ArtifactMetadata metadata = metadata_;
  metadata["format"] = "pt";
  metadata["program"] = program.name();
  write_safetensors(tensors, metadata, directory / entry());
}

Artifact::Model SafetensorsArtifact::read_back(const Program& program, const std::filesystem::path& directory) const {
  NamedTensors tensors = read_safetensors(directory / entry());
  for (const GraphInput& input : program.graph().inputs) {
    if (input.kind == InputKind::kUserInput) continue;
    if (!in_state_dict(input)) tensors[input.state_name] = program.tensor(input);
    if (!tensors.contains(input.state_name)) throw InternalError(entry() + " lacks " + input.state_name);
  }
  return make_model(Program(program.name(), program.graph(), std::move(tensors)));
}

}  // namespace lockstep

#include "engine/artifacts/SafetensorsArtifact.h"

#include <cstring>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/Safetensors.h"

namespace lockstep {

namespace {

bool in_state_dict(const GraphInput& input) {
  return input.kind == InputKind::kParameter || (input.kind == InputKind::kBuffer && input.persistent);
}

bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  const at::Tensor dense = b.detach().cpu().contiguous();
  return a.nbytes() == 0 || std::memcmp(a.const_data_ptr(), dense.const_data_ptr(), a.nbytes()) == 0;
}

}  // namespace

ArtifactMetadata SafetensorsArtifact::metadata(const Program& program) const {
  ArtifactMetadata metadata = options().metadata;
  metadata["format"] = "pt";
  metadata["program"] = program.name();
  return metadata;
}

void SafetensorsArtifact::write(const Program& program, const std::filesystem::path& directory) const {
  NamedTensors tensors;
  for (const GraphInput& input : program.graph().inputs) {
    if (in_state_dict(input)) tensors[input.state_name] = program.tensor(input);
  }
  write_safetensors(tensors, metadata(program), directory / entry());
}

Artifact::Model SafetensorsArtifact::read_back(const Program& program, const std::filesystem::path& directory) const {
  const std::string path = (directory / entry()).string();
  const SafetensorsFile file(path);
  NamedTensors tensors = read_safetensors(file);
  if (file.metadata() != metadata(program)) {
    throw SystemError(path + " was not written as it should be: its metadata differs");
  }
  for (const GraphInput& input : program.graph().inputs) {
    if (input.kind == InputKind::kUserInput) continue;
    if (!in_state_dict(input)) {
      tensors[input.state_name] = program.tensor(input);
    } else if (!tensors.contains(input.state_name) ||
               !same_bytes(tensors.at(input.state_name), program.tensor(input))) {
      throw SystemError(path + " was not written as it should be: its tensor " + in_quotes(input.state_name) +
                        " differs");
    }
  }
  return make_model(Program(program.name(), program.graph(), std::move(tensors)));
}

}  // namespace lockstep

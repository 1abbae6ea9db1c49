// `model.safetensors`: the state dict (parameters and persistent buffers) under its dotted names.
#pragma once

#include <utility>

#include "engine/artifacts/Artifact.h"

namespace lockstep {

class SafetensorsArtifact : public Artifact {
 public:
  explicit SafetensorsArtifact(ArtifactOptions options = {}) : Artifact(std::move(options), "model.safetensors") {}

  void write(const Program& program, const std::filesystem::path& directory) const override;
  Model read_back(const Program& program, const std::filesystem::path& directory) const override;

 private:
  ArtifactMetadata metadata(const Program& program) const;
};

}  // namespace lockstep

// `model.safetensors`: the state dict (parameters and persistent buffers) under its dotted names.
#pragma once

#include "engine/artifacts/Artifact.h"

namespace lockstep {

class SafetensorsArtifact : public Artifact {
 public:
  std::string entry() const override { return "model.safetensors"; }
  void write(const Program& program, const std::filesystem::path& directory) const override;
  Model read_back(const Program& program, const std::filesystem::path& directory) const override;
};

}  // namespace lockstep

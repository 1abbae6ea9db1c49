// `model.pt2`: the program itself, for torch.export.load. What it says of itself is its extra file `metadata.json`.
#pragma once

#include <utility>

#include "engine/artifacts/Artifact.h"

namespace lockstep {

class Pt2Artifact : public Artifact {
 public:
  explicit Pt2Artifact(ArtifactOptions options = {}) : Artifact(std::move(options), "model.pt2") {}

  void write(const Program& program, const std::filesystem::path& directory) const override;
  Model read_back(const Program& program, const std::filesystem::path& directory) const override;
  std::optional<Model> open(const std::filesystem::path& directory, const ModelCard& card) const override;
};

}  // namespace lockstep

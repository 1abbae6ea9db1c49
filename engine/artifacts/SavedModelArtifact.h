// `1/`: a TensorFlow SavedModel, in the directory of a version as TensorFlow Serving expects it.
#pragma once

#include <utility>

#include "engine/artifacts/Artifact.h"

namespace lockstep {

class SavedModelArtifact : public Artifact {
 public:
  explicit SavedModelArtifact(ArtifactOptions options = {}) : Artifact(std::move(options), "1") {}

  void check(const Program& program, const std::vector<Probe>& probes) const override;
  void write(const Program& program, const std::filesystem::path& directory) const override;
  Model read_back(const Program& program, const std::filesystem::path& directory) const override;
  std::optional<Model> open(const std::filesystem::path& directory, const ModelCard& card) const override;
};

}  // namespace lockstep

// `model.pt`: a TorchScript module, for torch.jit.load, TorchServe, Triton and libtorch. What it says of itself is its
// extra file `metadata.json`.
#pragma once

#include <utility>

#include "engine/artifacts/Artifact.h"

namespace lockstep {

class TorchscriptArtifact : public Artifact {
 public:
  explicit TorchscriptArtifact(ArtifactOptions options = {}) : Artifact(std::move(options), "model.pt") {}

  void check(const Program& program, const std::vector<Probe>& probes) const override;
  void write(const Program& program, const std::filesystem::path& directory) const override;
  Model read_back(const Program& program, const std::filesystem::path& directory) const override;
  std::optional<Model> open(const std::filesystem::path& directory, const ModelCard& card) const override;
};

}  // namespace lockstep

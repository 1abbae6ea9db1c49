// `model.onnx`: for ONNX Runtime, and whatever else reads ONNX. Of large programs also `model.onnx.data`.
#pragma once

#include <cstdint>
#include <utility>

#include "engine/artifacts/Artifact.h"
#include "engine/artifacts/onnx/OnnxModel.h"

namespace lockstep {

class OnnxArtifact : public Artifact {
 public:
  /// `most_inline`: as in OnnxOptions.
  explicit OnnxArtifact(ArtifactOptions options = {}, std::uint64_t most_inline = kMostOnnxInline)
      : Artifact(std::move(options), "model.onnx"), most_inline_(most_inline) {}

  void check(const Program& program, const std::vector<Probe>& probes) const override;
  void write(const Program& program, const std::filesystem::path& directory) const override;
  Model read_back(const Program& program, const std::filesystem::path& directory) const override;
  std::optional<Model> open(const std::filesystem::path& directory, const ModelCard& card) const override;

 private:
  std::uint64_t most_inline_;
};

}  // namespace lockstep

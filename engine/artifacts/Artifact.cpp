#include "engine/artifacts/Artifact.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/artifacts/Pt2Artifact.h"
#include "engine/artifacts/SafetensorsArtifact.h"
#include "engine/artifacts/SavedModelArtifact.h"
#include "engine/program/Executor.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// What may differ is the order of sums, in other formats' operators and in kernels that choose by batch size; so the
// bound is relative to the largest output.
constexpr double kTolerance = 1e-5;

void compare(const Artifact::Model& model, const std::string& entry, const std::vector<Probe>& probes) {
  for (const Probe& probe : probes) {
    const std::vector<at::Tensor> outputs = model(probe.inputs);
    if (outputs.size() != probe.outputs.size()) throw InternalError("the artifact " + entry + " lacks outputs");
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const at::Tensor& expected = probe.outputs[i];
      const bool same_shape = outputs[i].sizes() == expected.sizes();
      const double largest = expected.numel() == 0 ? 0 : expected.abs().max().item<double>();
      if (same_shape && at::allclose(outputs[i], expected, 0, kTolerance * (1 + largest), /*equal_nan=*/true)) continue;
      throw SystemError(
          "the artifact " + entry + " does not compute what the trained program computes: output " + std::to_string(i) +
          " of a probe batch " +
          (same_shape ? "differs by up to " + format("%.3g", at::sub(outputs[i], expected).abs().max().item<double>())
                      : "has other sizes") +
          "; it was not kept");
    }
  }
}

}  // namespace

std::vector<Probe> make_probes(const Program& inference_program, const std::vector<at::Tensor>& batches) {
  const Artifact::Model model = make_model(inference_program);
  std::vector<Probe> probes;
  for (const at::Tensor& batch : batches) probes.push_back({{batch}, model({batch})});
  return probes;
}

Artifact::Model make_model(const Program& program) {
  return [executor = std::make_shared<Executor>(program)](const std::vector<at::Tensor>& inputs) {
    const c10::NoGradGuard no_grad;
    return executor->run(inputs);
  };
}

std::unique_ptr<Artifact> make_artifact(Export format) {
  switch (format) {
    case Export::kPt2:
      return std::make_unique<Pt2Artifact>();
    case Export::kSafetensors:
      return std::make_unique<SafetensorsArtifact>();
    case Export::kSavedModel:
      return std::make_unique<SavedModelArtifact>();
  }
  throw InternalError("an export format without an artifact");
}

std::vector<fs::path> write_artifacts(const Program& inference_program, const std::vector<Export>& formats,
                                      const fs::path& model_dir, const std::vector<Probe>& probes) {
  std::vector<fs::path> paths;
  StagingDirectory staging(model_dir);
  for (const Export format : formats) {
    const auto artifact = make_artifact(format);
    artifact->write(inference_program, staging.path());
    compare(artifact->read_back(inference_program, staging.path()), artifact->entry(), probes);
    paths.push_back(model_dir / artifact->entry());
  }
  staging.publish();
  return paths;
}

}  // namespace lockstep

#include "engine/artifacts/Artifact.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/artifacts/Pt2Artifact.h"
#include "engine/artifacts/SafetensorsArtifact.h"
#include "engine/program/Executor.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// The same operators run on the same values: what is left is the order of sums in kernels that choose by batch size.
constexpr double kRelativeTolerance = 1e-5;
constexpr double kAbsoluteTolerance = 1e-6;

void compare(const Program& artifact, const std::string& entry, const std::vector<Probe>& probes) {
  const c10::NoGradGuard no_grad;
  Executor executor(artifact);
  for (const Probe& probe : probes) {
    const std::vector<at::Tensor> outputs = executor.run(probe.inputs);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (at::allclose(outputs[i], probe.outputs[i], kRelativeTolerance, kAbsoluteTolerance, /*equal_nan=*/true))
        continue;
      const double worst = at::sub(outputs[i], probe.outputs[i]).abs().max().item<double>();
      throw SystemError("the artifact " + entry + " does not compute what the trained program computes: output " +
                        std::to_string(i) + " of a probe batch differs by up to " + format("%.3g", worst) +
                        "; it was not kept");
    }
  }
}

}  // namespace

std::vector<Probe> make_probes(const Program& inference_program, const std::vector<at::Tensor>& batches) {
  const c10::NoGradGuard no_grad;
  Executor executor(inference_program);
  std::vector<Probe> probes;
  for (const at::Tensor& batch : batches) probes.push_back({{batch}, executor.run({batch})});
  return probes;
}

std::unique_ptr<Artifact> make_artifact(Export format) {
  switch (format) {
    case Export::kPt2:
      return std::make_unique<Pt2Artifact>();
    case Export::kSafetensors:
      return std::make_unique<SafetensorsArtifact>();
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

#include "engine/artifacts/Artifact.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/OnnxArtifact.h"
#include "engine/artifacts/Pt2Artifact.h"
#include "engine/artifacts/SafetensorsArtifact.h"
#include "engine/artifacts/SavedModelArtifact.h"
#include "engine/artifacts/TorchscriptArtifact.h"
#include "engine/program/Executor.h"

namespace lockstep {

namespace {

// What rounding is measured by where the element itself is nearly 0: the magnitude that three quarters of the output's
// elements exceed, or the median over the samples at the same place, whichever is larger.
at::Tensor usual_magnitude(const at::Tensor& magnitudes) {
  const at::Tensor nonzero = magnitudes.masked_select(magnitudes > 0);
  if (nonzero.numel() == 0) return magnitudes;
  const at::Tensor quartile = std::get<0>(nonzero.kthvalue(1 + (nonzero.numel() - 1) / 4));
  if (magnitudes.dim() == 0) return quartile;
  return at::maximum(std::get<0>(magnitudes.median(0)), quartile);
}

std::string difference(const at::Tensor& found, const at::Tensor& expected, double tolerance) {
  if (found.scalar_type() != expected.scalar_type()) return "has another type";
  if (found.sizes() != expected.sizes()) return "has other sizes";
  if (at::equal(found, expected)) return "";
  if (!expected.is_floating_point()) return "differs";
  const at::Tensor a = found.detach().to(at::kDouble);
  const at::Tensor b = expected.detach().to(at::kDouble);
  const at::Tensor finite = b.isfinite();
  const at::Tensor same_special = (a == b).logical_or(a.isnan().logical_and(b.isnan()));
  if (!finite.logical_or(same_special).all().item<bool>()) return "differs where it is not finite";
  const at::Tensor magnitudes = at::where(finite, b.abs(), 0.0);
  const at::Tensor distance = at::where(finite, at::sub(a, b).abs(), 0.0);
  const at::Tensor near = distance <= (magnitudes + usual_magnitude(magnitudes)) * tolerance;  // not so for NaN
  if (near.all().item<bool>()) return "";
  return "differs by up to " + format("%.3g", distance.masked_select(near.logical_not()).max().item<double>());
}

// The program may write into its inputs.
std::vector<at::Tensor> copies(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> copied;
  for (const at::Tensor& tensor : tensors) copied.push_back(tensor.clone());
  return copied;
}

}  // namespace

double tolerance_of(const Graph& graph) {
  constexpr double kRoundings = 16;
  double tolerance = 1e-4;
  const auto meet = [&](const std::string& value) {
    if (!graph.find_sizes(value)) return;
    const auto type = static_cast<ElementType>(graph.scalar_type(value));
    if (type == ElementType::kHalf) tolerance = std::max(tolerance, kRoundings * std::exp2(-11));
    if (type == ElementType::kBFloat16) tolerance = std::max(tolerance, kRoundings * std::exp2(-8));
  };
  for (const GraphInput& input : graph.inputs) meet(input.value);
  for (const Node& node : graph.nodes) std::ranges::for_each(node.results(), meet);
  return tolerance;
}

std::vector<Probe> make_probes(const Program& inference_program, const std::vector<Probe::Inputs>& batches,
                               bool check_sizes) {
  const c10::NoGradGuard no_grad;
  Executor executor(inference_program);
  const double tolerance = tolerance_of(inference_program.graph());
  std::vector<Probe> probes;
  for (const Probe::Inputs& batch : batches) {
    SizeCheck check(inference_program.graph());
    probes.push_back({batch, copies(executor.run(copies(batch), check_sizes ? &check : nullptr)), tolerance});
  }
  return probes;
}

std::string difference(const Artifact::Model& model, const std::vector<Probe>& probes) {
  try {
    for (const Probe& probe : probes) {
      const std::vector<at::Tensor> outputs = model(copies(probe.inputs));
      if (outputs.size() != probe.outputs.size()) return "it lacks outputs";
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        const std::string found = difference(outputs[i], probe.outputs[i], probe.tolerance);
        if (!found.empty()) return "output " + std::to_string(i) + " of a probe batch " + found;
      }
    }
  } catch (const c10::Error& error) {
    return std::string("it cannot be run: ") + error.what_without_backtrace();
  }
  return "";
}

std::string one_a_line(const std::vector<std::string>& texts) {
  std::string lines;
  for (std::string text : texts) {
    std::ranges::replace_if(
        text, [](char c) { return c == '\n' || c == '\r'; }, ' ');
    lines += text + "\n";
  }
  return lines;
}

Artifact::Model make_model(const Program& program) {
  return [executor = std::make_shared<Executor>(program)](const std::vector<at::Tensor>& inputs) {
    const c10::NoGradGuard no_grad;
    return executor->run(inputs);
  };
}

std::unique_ptr<Artifact> make_artifact(Export format, const ArtifactOptions& options) {
  switch (format) {
    case Export::kPt2:
      return std::make_unique<Pt2Artifact>(options);
    case Export::kSafetensors:
      return std::make_unique<SafetensorsArtifact>(options);
    case Export::kSavedModel:
      return std::make_unique<SavedModelArtifact>(options);
    case Export::kOnnx:
      return std::make_unique<OnnxArtifact>(options);
    case Export::kTorchscript:
      return std::make_unique<TorchscriptArtifact>(options);
  }
  throw InternalError("an export format without an artifact");
}

}  // namespace lockstep

#include "engine/artifacts/ModelDirectory.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <utility>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/artifacts/ModelCard.h"
#include "engine/artifacts/Safetensors.h"
#include "job/HyperparameterChoices.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

std::string probe_name(std::size_t probe, const char* kind, std::size_t i) {
  return std::to_string(probe) + "." + kind + "." + std::to_string(i);
}

std::string tolerance_name(std::size_t probe) { return std::to_string(probe) + ".tolerance"; }

void write_probes(const std::vector<Probe>& probes, const fs::path& path) {
  NamedTensors tensors;
  for (std::size_t probe = 0; probe < probes.size(); ++probe) {
    for (std::size_t i = 0; i < probes[probe].inputs.size(); ++i) {
      tensors[probe_name(probe, "input", i)] = probes[probe].inputs[i].contiguous();
    }
    for (std::size_t i = 0; i < probes[probe].outputs.size(); ++i) {
      tensors[probe_name(probe, "output", i)] = probes[probe].outputs[i].contiguous();
    }
    tensors[tolerance_name(probe)] = at::scalar_tensor(probes[probe].tolerance, at::kDouble);
  }
  write_safetensors(tensors, {{"format", "pt"}}, path);
}

std::vector<Probe> read_probes(const fs::path& path, const ModelCard& card) {
  const NamedTensors tensors = read_safetensors(path);
  const auto take = [&](std::size_t probe, const char* kind, std::size_t i) {
    const auto found = tensors.find(probe_name(probe, kind, i));
    if (found == tensors.end()) throw InputError(path.string() + " lacks " + probe_name(probe, kind, i));
    return found->second;
  };
  std::vector<Probe> probes;
  while (tensors.contains(probe_name(probes.size(), "output", 0))) {
    Probe probe;
    for (std::size_t i = 0; i < card.inputs.size(); ++i) probe.inputs.push_back(take(probes.size(), "input", i));
    for (std::size_t i = 0; i < card.outputs.size(); ++i) probe.outputs.push_back(take(probes.size(), "output", i));
    const auto tolerance = tensors.find(tolerance_name(probes.size()));
    if (tolerance != tensors.end()) probe.tolerance = tolerance->second.item<double>();
    probes.push_back(std::move(probe));
  }
  return probes;
}

bool listed(const ModelCard& card, const std::string& name) {
  return std::ranges::find(card.files, name, &ListedFile::name) != card.files.end();
}

std::unique_ptr<Artifact> artifact_of(const std::string& entry, const fs::path& directory) {
  for (const auto& [format, name] : choices<Export>()) {
    auto artifact = make_artifact(format);
    if (artifact->entry() == entry) return artifact;
  }
  throw InputError((directory / ModelCard::kFile).string() + " names the artifact " + in_quotes(entry) +
                   ", which this Lockstep does not know");
}

}  // namespace

std::vector<fs::path> write_artifacts(const Program& inference_program, const std::vector<Export>& formats,
                                      const fs::path& model_dir, const std::vector<Probe>& probes,
                                      const BesideArtifacts& beside) {
  std::vector<fs::path> paths;
  if (formats.empty()) return paths;
  StagingDirectory staging(model_dir);
  ModelCard card = ModelCard::of(inference_program);
  ArtifactMetadata metadata = beside.metadata;
  metadata["program_digest"] = card.digest;
  for (const Export format : formats) {
    const auto artifact = make_artifact(format, metadata);
    artifact->write(inference_program, staging.path());
    const std::string wrong = difference(artifact->read_back(inference_program, staging.path()), probes);
    if (!wrong.empty()) {
      throw SystemError("the artifact " + artifact->entry() +
                        " does not compute what the trained program computes: " + wrong + "; it was not kept");
    }
    paths.push_back(model_dir / artifact->entry());
    card.artifacts.push_back(artifact->entry());
  }
  for (const auto& [name, text] : beside.texts) {
    OutputFile file(staging.path() / name);
    file.write(text);
    file.close();
    paths.push_back(model_dir / name);
  }
  if (!beside.probes.empty()) {
    write_probes(make_probes(inference_program, beside.probes), staging.path() / kProbesFile);
  }
  card.job = beside.job;
  card.files = list_files(staging.path());
  card.write(staging.path());
  staging.publish();
  return paths;
}

std::vector<std::string> check_model_directory(const fs::path& directory) {
  const ModelCard card = ModelCard::read(directory);
  check_contents(directory, card.files);
  const std::vector<Probe> probes =
      listed(card, kProbesFile) ? read_probes(directory / kProbesFile, card) : std::vector<Probe>();
  if (card.artifacts.empty()) throw InputError((directory / ModelCard::kFile).string() + " names no artifact");
  std::vector<std::string> lines;
  for (const std::string& entry : card.artifacts) {
    const auto model = artifact_of(entry, directory)->open(directory, card);
    if (!model) {
      lines.push_back(entry + ": as it was written");
      continue;
    }
    if (const std::string wrong = difference(*model, probes); !wrong.empty()) {
      throw InputError((directory / entry).string() + " does not compute what was kept in " + kProbesFile + ": " +
                       wrong);
    }
    lines.push_back(entry + ": as it was written, and " +
                    (probes.empty() ? "loads; no outputs are kept to compare it with"
                                    : "computes the outputs that are kept in " + std::string(kProbesFile)));
  }
  for (const auto& [format, name] : choices<Export>()) {
    const std::string entry = make_artifact(format)->entry();
    if (std::ranges::count(card.artifacts, entry) > 0 || !fs::exists(directory / entry)) continue;
    throw InputError((directory / entry).string() + " is not of this model card: an earlier job left it; remove it");
  }
  return lines;
}

}  // namespace lockstep

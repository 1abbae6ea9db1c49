#include "engine/artifacts/ModelDirectory.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/artifacts/ModelCard.h"
#include "engine/artifacts/ModelLayout.h"
#include "engine/artifacts/Safetensors.h"
#include "job/HyperparameterChoices.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

std::string probe_name(std::size_t probe, const std::string& kind, std::size_t i) {
  return std::to_string(probe) + "." + kind + "." + std::to_string(i);
}

std::string tolerance_name(std::size_t probe, const std::string& prefix) {
  return std::to_string(probe) + "." + prefix + "tolerance";
}

// The names of probes of artifacts that hold another form of the program begin with this.
constexpr const char* kServed = "served_";

void add_probes(const std::vector<Probe>& probes, const std::string& prefix, NamedTensors& tensors) {
  for (std::size_t probe = 0; probe < probes.size(); ++probe) {
    for (std::size_t i = 0; i < probes[probe].inputs.size(); ++i) {
      tensors[probe_name(probe, prefix + "input", i)] = probes[probe].inputs[i].contiguous();
    }
    for (std::size_t i = 0; i < probes[probe].outputs.size(); ++i) {
      tensors[probe_name(probe, prefix + "output", i)] = probes[probe].outputs[i].contiguous();
    }
    tensors[tolerance_name(probe, prefix)] = at::scalar_tensor(probes[probe].tolerance, at::kDouble);
  }
}

std::vector<Probe> read_probes(const fs::path& path, const ModelCard& card, const std::string& prefix) {
  const NamedTensors tensors = read_safetensors(path);
  const auto take = [&](std::size_t probe, const std::string& kind, std::size_t i) {
    const auto found = tensors.find(probe_name(probe, prefix + kind, i));
    if (found == tensors.end()) throw InputError(path.string() + " lacks " + probe_name(probe, prefix + kind, i));
    return found->second;
  };
  std::vector<Probe> probes;
  while (tensors.contains(probe_name(probes.size(), prefix + "output", 0))) {
    Probe probe;
    for (std::size_t i = 0; i < card.inputs.size(); ++i) probe.inputs.push_back(take(probes.size(), "input", i));
    for (std::size_t i = 0; i < card.outputs.size(); ++i) probe.outputs.push_back(take(probes.size(), "output", i));
    const auto tolerance = tensors.find(tolerance_name(probes.size(), prefix));
    if (tolerance != tensors.end()) probe.tolerance = tolerance->second.item<double>();
    probes.push_back(std::move(probe));
  }
  return probes;
}

void make_parent(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) throw SystemError("cannot make the directory " + path.parent_path().string() + ": " + error.message());
}

bool listed(const ModelCard& card, const std::string& name) {
  return std::ranges::find(card.files, name, &ListedFile::name) != card.files.end();
}

void write_beside(const fs::path& path, const std::string& text) {
  make_parent(path);
  OutputFile file(path);
  file.write(text);
  file.close();
}

std::unique_ptr<Artifact> artifact_of(const std::string& entry, const fs::path& directory) {
  if (const auto format = ModelLayout::format_of(entry)) return make_artifact(*format, {.entry = entry});
  throw InputError((directory / ModelCard::kFile).string() + " names the artifact " + in_quotes(entry) +
                   ", which this Lockstep does not know");
}

ModelLayout layout_of(const Program& program, const std::vector<Export>& formats, const BesideArtifacts& beside) {
  return ModelLayout(beside.layout, beside.served_name.empty() ? program.name() : beside.served_name, formats);
}

ArtifactOptions options_of(Export format, const ModelLayout& layout, const BesideArtifacts& beside,
                           const std::string& digest) {
  ArtifactOptions options{.entry = layout.entry(format),
                          .metadata = beside.metadata,
                          .labels = beside.labels,
                          .int8_weights = beside.form.int8_weights && ServedForm::served_in(format),
                          .named_outputs = layout.named_outputs()};
  const ServedForm& form = beside.form;
  options.pixels = form.pixels && ServedForm::served_in(format);
  if (form.classifies && !form.pixels) options.scores = form.scores;
  options.decoded = form.decoded;
  if (!digest.empty()) options.metadata["program_digest"] = digest;
  if (!beside.labels.empty()) options.metadata["labels"] = nlohmann::json(beside.labels).dump();
  return options;
}

// The program as artifacts of each format hold it, and what they must compute.
struct Forms {
  struct Form {
    Program program;
    std::vector<Probe> probes;
  };
  Form trained;
  std::optional<Form> served{};

  Forms(const Program& program, const std::vector<Export>& formats, const std::vector<Probe>& probes,
        const ServedForm& form)
      : trained{program, probes} {
    if (form.changes_nothing() || std::ranges::none_of(formats, ServedForm::served_in)) return;
    served = Form{served_program(program, form), {}};
    std::vector<Probe::Inputs> inputs;
    for (const Probe& probe : probes) inputs.push_back(served_inputs(served->program, form, probe.inputs));
    served->probes = make_probes(served->program, inputs);
  }

  const Form& of(Export format) const { return served && ServedForm::served_in(format) ? *served : trained; }
};

// Writes one format, and reads it back.
void write_artifact(const Artifact& artifact, const Forms::Form& form, const fs::path& directory) {
  make_parent(directory / artifact.entry());
  artifact.write(form.program, directory);
  const std::string wrong = difference(artifact.read_back(form.program, directory), form.probes);
  if (wrong.empty()) return;
  throw SystemError("the artifact " + artifact.entry() +
                    " does not compute what the trained program computes: " + wrong + "; it was not kept");
}

}  // namespace

void check_artifacts(const Program& inference_program, const std::vector<Export>& formats,
                     const std::vector<Probe>& probes, const BesideArtifacts& beside) {
  const ModelLayout layout = layout_of(inference_program, formats, beside);
  require_decoding(beside.form, formats, beside.layout);
  const Forms forms(inference_program, formats, probes, beside.form);
  for (const Export format : formats) {
    make_artifact(format, options_of(format, layout, beside, ""))
        ->check(forms.of(format).program, forms.of(format).probes);
  }
}

std::vector<fs::path> write_artifacts(const Program& inference_program, const std::vector<Export>& formats,
                                      const fs::path& model_dir, const std::vector<Probe>& probes,
                                      const BesideArtifacts& beside) {
  std::vector<fs::path> paths;
  if (formats.empty()) return paths;
  const ModelLayout layout = layout_of(inference_program, formats, beside);
  const Forms forms(inference_program, formats, probes, beside.form);
  StagingDirectory staging(model_dir);
  ModelCard card = ModelCard::of(inference_program);
  if (forms.served) {
    const ModelCard served = ModelCard::of(forms.served->program);
    card.served = ModelCard::Served{.int8_weights = beside.form.int8_weights,
                                    .decodes_images = beside.form.decoded.has_value(),
                                    .inputs = served.inputs,
                                    .outputs = served.outputs};
  }
  for (const Export format : formats) {
    const auto artifact = make_artifact(format, options_of(format, layout, beside, card.digest));
    write_artifact(*artifact, forms.of(format), staging.path());
    paths.push_back(model_dir / artifact->entry());
    card.artifacts.push_back(artifact->entry());
    if (forms.served && ServedForm::served_in(format)) card.served->artifacts.push_back(artifact->entry());
  }
  std::map<std::string, std::string> texts = layout.texts(card, beside.labels);
  texts.insert(beside.texts.begin(), beside.texts.end());
  for (const auto& [name, text] : texts) {
    write_beside(staging.path() / name, text);
    paths.push_back(model_dir / name);
  }
  if (!beside.probes.empty()) {
    const std::vector<Probe> kept = make_probes(inference_program, beside.probes);
    NamedTensors tensors;
    add_probes(kept, "", tensors);
    const Forms kept_forms(inference_program, formats, kept, beside.form);
    if (kept_forms.served) add_probes(kept_forms.served->probes, kServed, tensors);
    write_safetensors(tensors, {{"format", "pt"}}, staging.path() / kProbesFile);
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
  if (card.artifacts.empty()) throw InputError((directory / ModelCard::kFile).string() + " names no artifact");
  std::vector<std::string> lines;
  for (const std::string& entry : card.artifacts) {
    const ModelCard seen = card.of_artifact(entry);
    const auto model = artifact_of(entry, directory)->open(directory, seen);
    if (!model) {
      lines.push_back(entry + ": as it was written");
      continue;
    }
    const std::vector<Probe> probes =
        listed(card, kProbesFile) ? read_probes(directory / kProbesFile, seen, card.is_served(entry) ? kServed : "")
                                  : std::vector<Probe>();
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

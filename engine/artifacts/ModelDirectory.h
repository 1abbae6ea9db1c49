// A directory of artifacts: all that is written of one program, and whether it still is what was written.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/artifacts/Artifact.h"
#include "engine/artifacts/ServedProgram.h"

namespace lockstep {

/// What goes beside artifacts.
struct BesideArtifacts {
  std::map<std::string, std::string> texts{};  ///< by file name
  nlohmann::ordered_json job{};                ///< of the model card
  /// Inputs that are kept with the outputs for them (kProbesFile), for check_model_directory.
  std::vector<Probe::Inputs> probes{};
  ArtifactMetadata metadata{};        ///< of the artifacts themselves; the program's digest is added
  std::vector<std::string> labels{};  ///< what classes are called, in their order
  Layout layout = Layout::kTfserving;
  std::string served_name{};  ///< "": the program's
  ServedForm form{};          ///< of those artifacts that hold it
};

inline constexpr const char* kProbesFile = "probes.safetensors";

/// Throws InputError for what write_artifacts would not write: at the start of a job, not at its end.
void check_artifacts(const Program& inference_program, const std::vector<Export>& formats,
                     const std::vector<Probe>& probes, const BesideArtifacts& beside = {});

/// Writes the formats aside, reads each back and compares its outputs with the probes', and only then renames all of
/// them, and what goes beside them, into `model_dir`: it holds all artifacts or none of them. Throws SystemError, also
/// when outputs differ. Returns the paths of the artifacts and of the texts.
std::vector<std::filesystem::path> write_artifacts(const Program& inference_program, const std::vector<Export>& formats,
                                                   const std::filesystem::path& model_dir,
                                                   const std::vector<Probe>& probes,
                                                   const BesideArtifacts& beside = {});

/// Compares each file with the model card, reads each artifact as its consumer would, and compares what it computes
/// with the outputs that are kept. Returns a line about each artifact. Throws InputError, naming the file, for one that
/// is missing or damaged, and for an artifact that computes something else.
std::vector<std::string> check_model_directory(const std::filesystem::path& directory);

}  // namespace lockstep

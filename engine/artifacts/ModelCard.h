// What stands beside artifacts in the model directory: `model_card.json`, and the same for people, `model_card.md`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/files/ListedFile.h"
#include "engine/program/Program.h"

namespace lockstep {

/// What artifacts are, how they came to be, and which files they are made of:
///
///   {"format": "lockstep model card", "version": 1, "written_by": "lockstep 0.2.0",
///    "program": {"name": "in", "digest": "…", "parameters": 1234},
///    "inputs": [{"name": "x", "type": "float32", "sizes": ["batch", 3, 32, 32]}, …], "outputs": […],
///    "served": {"artifacts": ["1"], "int8_weights": true, "decodes_images": false, "inputs": […],
///               "outputs": […]},
///    "job": {…}, "artifacts": ["model.pt2", "saved_model"],
///    "files": {"model.pt2": {"bytes": 1234, "crc32c": "8 hexadecimal digits"}, …}, "crc32c": "of all that"}
struct ModelCard {
  static constexpr const char* kFile = "model_card.json";
  static constexpr const char* kText = "model_card.md";

  struct Tensor {
    std::string name;
    std::string type;                ///< "float32"
    std::vector<Dimension> sizes{};  ///< a text: known when it is run
  };

  /// Of artifacts that hold another form of the program (ServedForm).
  struct Served {
    std::vector<std::string> artifacts{};
    bool int8_weights = false;
    bool decodes_images = false;  ///< the default signature takes encoded images; `inputs` are what they become
    std::vector<Tensor> inputs{};
    std::vector<Tensor> outputs{};
  };

  /// Without artifacts and files.
  static ModelCard of(const Program& program);
  /// The card as the readers of this artifact see it: with the inputs and outputs that it has.
  ModelCard of_artifact(const std::string& entry) const;
  bool is_served(const std::string& entry) const;
  /// Reads the card of a directory. Throws InputError for one that `write` did not write.
  static ModelCard read(const std::filesystem::path& directory);

  /// Writes both files; the one for people is among those that the other lists. Throws SystemError.
  void write(const std::filesystem::path& directory) const;

  std::string program;
  std::string digest;  ///< of the program as it was written
  std::int64_t parameters = 0;
  std::vector<Tensor> inputs{};   ///< in the program's order
  std::vector<Tensor> outputs{};  ///< in the program's order
  std::optional<Served> served{};
  nlohmann::ordered_json job{};  ///< what the job that trained it says; null: nothing
  std::vector<std::string> artifacts{};
  std::vector<ListedFile> files{};
};

}  // namespace lockstep

// What a finished job leaves in the model directory.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/program/Program.h"
#include "job/Hyperparameters.h"

namespace lockstep {

struct ModelCard;

/// Inputs and the outputs that the engine computes for them: what an artifact must reproduce.
struct Probe {
  using Inputs = std::vector<at::Tensor>;  ///< one for each of the program's, in its order
  Inputs inputs;
  std::vector<at::Tensor> outputs;
  double tolerance = 1e-4;  ///< of an element, relative to itself and to what is usual in its output
};

/// What rounding may do to an output, by the coarsest floating-point numbers that the graph computes with: 1e-4 where
/// these are float32 or float64; sixteen roundings of float16 (8e-3) or of bfloat16 (6e-2). Sums in another order,
/// other formats' operators, and kernels that choose by batch size make such differences.
double tolerance_of(const Graph& graph);

/// Runs the program, in its inference form, on a copy of each batch. Throws InputError also when a value is
/// not as the graph says: passes, artifacts and figures rely on that afterwards.
std::vector<Probe> make_probes(const Program& inference_program, const std::vector<Probe::Inputs>& batches,
                               bool check_sizes = false);

/// What an artifact says of itself, where its format has a place for that: `step`, `validation_accuracy`.
using ArtifactMetadata = std::map<std::string, std::string>;

/// What is said to a format beside the program.
struct ArtifactOptions {
  std::string entry{};  ///< in the directory: `bert/1/model.onnx`; "": as the format usually calls it
  ArtifactMetadata metadata{};
  std::vector<std::string> labels{};    ///< what classes are called, in their order; empty: nobody knows
  bool int8_weights = false;            ///< SavedModel, ONNX: the program is one that with_rounded_weights made
  std::optional<std::size_t> scores{};  ///< SavedModel: softmax makes probabilities of this output
  bool pixels = false;                  ///< SavedModel: the program is one that served_program made for pixels
  std::optional<ImageCrop> decoded{};   ///< SavedModel, with `pixels`: also takes encoded images, and cuts them so
  bool named_outputs = true;  ///< TorchScript: outputs that have names are a dictionary; Triton takes tuples alone
};

/// One artifact format.
class Artifact {
 public:
  /// Computes what a written artifact computes: inputs in the order of the program's, outputs in its order.
  using Model = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

  virtual ~Artifact() = default;
  /// The entry it makes in the model directory, whose parent must be there: `model.pt2`.
  const std::string& entry() const { return options_.entry; }
  /// Throws InputError for a program in its inference form that the format cannot hold, naming operator and source
  /// line, and for one whose probes an artifact of it would not reproduce.
  virtual void check(const Program& /*program*/, const std::vector<Probe>& /*probes*/) const {}
  /// Writes the entry into `directory`. `program` is in its inference form. Throws SystemError.
  virtual void write(const Program& program, const std::filesystem::path& directory) const = 0;
  /// Reads the entry back as its consumer would; `program` is what was written.
  virtual Model read_back(const Program& program, const std::filesystem::path& directory) const = 0;
  /// Reads the entry of a directory of which nothing else is known than its card. Nothing for an entry that says not
  /// what is to be computed. Throws InputError for one that is damaged.
  virtual std::optional<Model> open(const std::filesystem::path& /*directory*/, const ModelCard& /*card*/) const {
    return std::nullopt;
  }

 protected:
  Artifact(ArtifactOptions options, const char* usual_entry) : options_(std::move(options)) {
    if (options_.entry.empty()) options_.entry = usual_entry;
  }
  const ArtifactOptions& options() const { return options_; }

 private:
  ArtifactOptions options_;
};

/// As files of labels have them; a line break within one becomes a space.
std::string one_a_line(const std::vector<std::string>& texts);

/// The model that a program is.
Artifact::Model make_model(const Program& program);

/// What the model gets wrong of the probes, in words, or "" when it computes the same: the type, sizes and every
/// element of every output. Integers must be equal. What may differ is rounding, which is judged by the element itself
/// and by what is usual in the output, never by its largest elements, which may be a mask's. Throws nothing but Error.
std::string difference(const Artifact::Model& model, const std::vector<Probe>& probes);

std::unique_ptr<Artifact> make_artifact(Export format, const ArtifactOptions& options = {});

}  // namespace lockstep

#include "engine/commands/ExportCommand.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/artifacts/ModelDirectory.h"
#include "engine/checkpoint/CheckpointDirectory.h"
#include "engine/objective/SeenOutputs.h"
#include "engine/program/Archive.h"
#include "engine/program/EvalForm.h"
#include "engine/session/InitialWeights.h"
#include "engine/session/MadeUpProbes.h"
#include "job/Hyperparameters.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// The hyperparameters that this command reads.
constexpr std::array<std::string_view, 10> kUsed = {
    "export", "image_crop", "initial_weights",     "input_mean",  "input_std",
    "layout", "quantize",   "serve_preprocessing", "served_name", "weight_names"};

// The newest whole checkpoint of a directory: its best state, where artifacts were to hold that.
fs::path weights_of_checkpoint(const fs::path& path) {
  const bool one = path.filename().string().starts_with("step-");
  const CheckpointDirectory directory(one ? path.parent_path() : path, {});
  std::string problems;
  for (const ListedCheckpoint& checkpoint : directory.list()) {
    const fs::path found = directory.path_of(checkpoint.step);
    if (one && found.filename() != path.filename()) continue;
    try {
      directory.verify(checkpoint.step);
    } catch (const InputError& error) {
      problems += std::string("; ") + error.what();
      continue;
    }
    const fs::path best = found / "best.safetensors";
    return fs::exists(best) ? best : found / "model.safetensors";
  }
  throw InputError("initial_weights: " + path.string() + " holds no whole checkpoint" + problems);
}

// Without a job, what images were normalized by has to be said.
ServedForm served_form(const Hyperparameters& options, const Graph& graph) {
  ServedForm form;
  if (options.serve_preprocessing == ServePreprocessing::kNone) return form;
  if (std::ranges::none_of(options.export_formats, ServedForm::served_in)) {
    throw InputError("serve_preprocessing=" + to_string(options.serve_preprocessing) +
                     " does nothing: neither saved_model nor onnx is in export");
  }
  form.pixels = PixelNormalization{{options.input_mean}, {options.input_std}};
  if (options.serve_preprocessing == ServePreprocessing::kImages) form.decoded = options.image_crop;
  form.scores = see_outputs(graph.output_names(), options.output, /*own_loss=*/false).output;
  return form;
}

}  // namespace

int export_command(int count, const char* const* arguments) {
  std::string file;
  std::string output;
  std::map<std::string, std::string> given;
  CLI::App app("Writes artifacts of a program, as a job does at its end.", "lockstep export");
  app.add_option("FILE", file, "The program: a .pt2 file")->required();
  app.add_option("-o,--output", output, "The directory to write them into")->required();
  const std::map<std::string, std::string> other_help = {
      {"initial_weights",
       "Weights in place of the program's own: a safetensors file, an index of several, or a "
       "checkpoint directory, of which the newest is taken."}};
  for (const HyperparameterDescription& row : describe_hyperparameters()) {
    if (std::ranges::find(kUsed, row.name) == kUsed.end()) continue;
    const auto help = other_help.find(row.name);
    app.add_option("--" + row.name, given[row.name], help == other_help.end() ? row.help : help->second)
        ->type_name(row.type)
        ->default_str(row.default_value);
  }
  try {
    app.parse(count, const_cast<char**>(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitBadInput;
  }
  std::erase_if(given, [](const auto& flag) { return flag.second.empty(); });
  if (const auto weights = given.find("initial_weights"); weights != given.end() && fs::is_directory(weights->second)) {
    weights->second = weights_of_checkpoint(weights->second).string();
  }
  const Hyperparameters options = hyperparameters_from_json(given);
  if (options.export_formats.empty()) throw InputError("export=none writes nothing: name the artifacts to write");
  if (options.quantize != Quantize::kNone) {
    throw InputError("quantize=" + to_string(options.quantize) +
                     " measures what it does to the metrics on an evaluation channel, which lockstep export has not: "
                     "give it to lockstep train; a job that has ended writes its artifacts anew from its checkpoint");
  }
  if (fs::is_directory(file)) {
    throw InputError(file +
                     " is a directory: name the program, a .pt2 file. Of a directory of artifacts that is model.pt2; "
                     "a checkpoint holds weights alone, which are given as --initial_weights");
  }
  const Program program = read_archive(file);
  const std::string weights = load_initial_weights(options, program);
  const Program inference = program.with_graph(eval_form(program.graph()));
  const std::vector<Probe::Inputs> inputs = made_up_probes(inference);
  const std::vector<Probe> probes = make_probes(inference, inputs, /*check_sizes=*/true);
  const BesideArtifacts beside{.probes = inputs,
                               .layout = options.layout,
                               .served_name = options.served_name,
                               .form = served_form(options, inference.graph())};
  check_artifacts(inference, options.export_formats, probes, beside);
  const auto paths = write_artifacts(inference, options.export_formats, output, probes, beside);
  if (!weights.empty()) std::printf("%s\n", weights.c_str());
  for (const fs::path& path : paths) std::printf("%s\n", path.c_str());
  if (probes.empty()) {
    std::printf(
        "no samples could be made up for the program's inputs: what was written was loaded, but not compared\n");
  }
  return kExitDone;
}

}  // namespace lockstep

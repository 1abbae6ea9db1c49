#include "engine/commands/InspectCommand.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/Artifact.h"
#include "engine/artifacts/FormatSupport.h"
#include "engine/artifacts/ModelCard.h"
#include "engine/artifacts/Safetensors.h"
#include "engine/commands/InspectChannel.h"
#include "engine/program/Archive.h"
#include "engine/program/EvalForm.h"
#include "engine/program/Executor.h"
#include "engine/program/Flops.h"
#include "engine/program/Passes.h"
#include "engine/program/Recomputation.h"
#include "engine/report/MetricsFile.h"
#include "engine/session/MadeUpProbes.h"
#include "job/HyperparameterChoices.h"
#include "job/Hyperparameters.h"
#include "job/Json.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

std::string shape_text(const std::vector<std::int64_t>& sizes) { return "[" + join(sizes, ", ") + "]"; }

std::string dimensions_text(const std::vector<Dimension>& sizes) {
  std::vector<std::string> parts;
  for (const Dimension& size : sizes) {
    parts.push_back(std::holds_alternative<std::string>(size) ? std::get<std::string>(size)
                                                              : std::to_string(std::get<std::int64_t>(size)));
  }
  return join(parts, ", ");
}

std::string dimensions_text(const Graph& graph, const std::string& value) {
  return std::string(c10::toString(scalar_type_from_archive(graph.scalar_type(value)))) + " [" +
         dimensions_text(graph.sizes(value)) + "]";
}

void print_tensor(const std::string& kind, const std::string& name, const at::Tensor& tensor) {
  std::printf("%-10s %-40s %-8s %s\n", kind.c_str(), name.c_str(), c10::toString(tensor.scalar_type()),
              shape_text(tensor.sizes().vec()).c_str());
}

std::string flops_text(const Graph& graph) {
  try {
    return format("%.0f of matrix products in the forward pass of one sample", forward_flops(graph, 1));
  } catch (const InputError& error) {
    return std::string("unknown: ") + error.what();
  }
}

using SupportByFormat = std::vector<std::pair<std::string, FormatSupport>>;

// As `lockstep export` finds it.
SupportByFormat support_by_format(const Program& program) {
  SupportByFormat formats;
  try {
    const Program inference = program.with_graph(eval_form(program.graph()));
    const std::vector<Probe> probes = make_probes(inference, made_up_probes(inference), /*check_sizes=*/true);
    for (const auto& [format, name] : choices<Export>()) {
      formats.emplace_back(name, format_support(inference, *make_artifact(format), probes));
    }
  } catch (const InputError& error) {  // it cannot be run
    for (const auto& [format, name] : choices<Export>()) formats.emplace_back(name, FormatSupport{error.what(), {}});
  }
  return formats;
}

// Operators against formats. What training alone has, dropout, is in every artifact by being left out.
void print_operators(const Graph& graph, const SupportByFormat& formats) {
  std::map<std::string, int> operators;
  int width = 40;
  for (const Node& node : graph.nodes) {
    ++operators[node.target];
    width = std::max(width, static_cast<int>(node.target.size()));
  }
  std::string head;
  for (const auto& [name, support] : formats) head += "  " + name;
  std::printf("%*s%s\n", width + 19, "", head.c_str());
  for (const auto& [target, calls] : operators) {
    std::string cells;
    for (const auto& [name, support] : formats) {
      cells += format("  %-*s", static_cast<int>(name.size()), support.operators.contains(target) ? "no" : "yes");
    }
    std::printf("operator   %-*s × %-5d%s\n", width, target.c_str(), calls, cells.c_str());
  }
}

void inspect_program(const fs::path& path, bool passes) {
  const Program program = read_archive(path);
  const Graph& graph = program.graph();
  const Executor runnable(program);
  std::printf("program    %s, %s parameters, %zu operator calls\n", program.name().c_str(),
              with_commas(program.parameter_count()).c_str(), graph.nodes.size());
  for (const GraphInput* input : graph.user_inputs()) {
    std::printf("input      %-40s %s\n", input->value.c_str(), dimensions_text(graph, input->value).c_str());
  }
  for (const FixedEntry& entry : graph.fixed_inputs) {
    std::printf("fixed      %-40s %s\n", entry.name().c_str(), "as in the example");
  }
  const std::vector<std::string> names = graph.output_names();
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    std::printf("output     %-40s %s\n", names[i].c_str(), dimensions_text(graph, graph.outputs[i]).c_str());
  }
  const std::map<InputKind, std::string> kinds = {
      {InputKind::kParameter, "parameter"}, {InputKind::kBuffer, "buffer"}, {InputKind::kConstant, "constant"}};
  for (const StateTensor& entry : program.state()) print_tensor(kinds.at(entry.kind), entry.name, entry.tensor);
  const SupportByFormat formats = support_by_format(program);
  print_operators(graph, formats);
  std::printf("flops      %s\n", flops_text(graph).c_str());
  for (const Recompute mode : {Recompute::kAuto, Recompute::kAll}) {
    std::printf("recompute  %-40s %s\n", to_string(mode).c_str(),
                describe(plan_recomputation(graph, mode), graph).c_str());
  }
  for (const auto& [name, support] : formats) {
    std::printf("artifact   %-40s %s\n", name.c_str(),
                support.refusal.empty() ? "yes" : ("no: " + support.refusal).c_str());
  }
  if (!passes) return;
  std::vector<std::string> changes;
  apply_passes(program, Hyperparameters().passes, changes);
  for (const std::string& change : changes) std::printf("pass       %s\n", change.c_str());
  if (changes.empty()) std::printf("pass       none changes this program\n");
}

bool is_archive(const fs::path& path) {
  std::string magic(4, '\0');
  std::ifstream(path, std::ios::binary).read(magic.data(), std::ssize(magic));
  return magic == "PK\3\4";
}

void print_card_tensors(const char* kind, const std::vector<ModelCard::Tensor>& tensors) {
  for (const ModelCard::Tensor& tensor : tensors) {
    std::printf("%-10s %-40s %s [%s]\n", kind, tensor.name.c_str(), tensor.type.c_str(),
                dimensions_text(tensor.sizes).c_str());
  }
}

// What training wrote, as its model card says.
void inspect_artifacts(const fs::path& directory) {
  const ModelCard card = ModelCard::read(directory);
  std::printf("artifacts  %s\n", join(card.artifacts, ", ").c_str());
  std::printf("program    %s, %s parameters\n", card.program.c_str(), with_commas(card.parameters).c_str());
  print_card_tensors("input", card.inputs);
  print_card_tensors("output", card.outputs);
  for (const auto& [name, value] : card.job.items()) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (!value.is_structured()) std::printf("job        %-40s %s\n", name.c_str(), text.c_str());
  }
  for (const ListedFile& file : card.files) {
    std::printf("file       %-40s %s bytes\n", file.name.c_str(),
                with_commas(static_cast<long long>(file.bytes)).c_str());
  }
  std::printf("besides    %s says more; `lockstep check %s` compares files and outputs with it\n", ModelCard::kText,
              directory.c_str());
}

/// What the command line says.
struct Inspection {
  fs::path path;
  bool passes = false;
  bool channel = false;  ///< something is asked that only a channel has
  ChannelInspection of_channel{};
};

Inspection read_arguments(const std::vector<std::string>& arguments) {
  Inspection inspection;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const auto value = [&] {
      if (i + 1 < arguments.size()) return arguments[++i];
      throw InputError(argument + " needs a value");
    };
    if (argument == "--passes") {
      inspection.passes = true;
    } else if (argument == "--statistics") {
      inspection.channel = inspection.of_channel.statistics = true;
    } else if (argument == "--sheet") {
      inspection.channel = true;
      inspection.of_channel.sheet = value();
    } else if (argument == "--content_type") {
      inspection.channel = true;
      inspection.of_channel.content_type = hyperparameters_from_json({{"content_type", value()}}).content_type;
    } else if (argument == "--columns") {
      inspection.channel = true;
      inspection.of_channel.columns = hyperparameters_from_json({{"columns", value()}}).columns;
    } else if (argument == "--fields") {
      inspection.channel = true;
      inspection.of_channel.fields = read_field_descriptions(parse_json(value(), argument));
    } else if (argument.starts_with("--")) {
      throw InputError("inspect takes no " + argument + ": `lockstep inspect --help` lists what it takes");
    } else if (!inspection.path.empty()) {
      throw InputError("inspect takes one file or directory; it was given two, " + in_quotes(inspection.path.string()) +
                       " and " + in_quotes(argument));
    } else {
      inspection.path = argument;
    }
  }
  if (inspection.path.empty()) throw InputError("inspect needs the path of a file or a channel's directory");
  return inspection;
}

}  // namespace

int inspect_command(const std::vector<std::string>& arguments) {
  const Inspection inspection = read_arguments(arguments);
  const fs::path& path = inspection.path;
  if (!fs::exists(path)) throw InputError("there is no file and no directory " + path.string());
  if (inspection.passes && path.extension() != ".pt2")
    throw InputError("--passes is for programs (.pt2), not for " + path.string());
  if (fs::is_directory(path)) {
    if (!inspection.channel && fs::exists(path / ModelCard::kFile)) {
      inspect_artifacts(path);
      return kExitDone;
    }
    if (fs::exists(path / MetricsFile::kName) || fs::exists(path / "data" / MetricsFile::kName)) {
      throw InputError(path.string() + " is no channel, but the output directory of a job: `lockstep report " +
                       path.string() + "` makes a page of its metrics.jsonl");
    }
    inspect_channel(path, inspection.of_channel);
    return kExitDone;
  }
  if (inspection.channel) {
    throw InputError(
        "--statistics, --content_type, --columns, --fields and --sheet are for a channel's directory, not for " +
        path.string());
  }
  if (path.extension() == ".safetensors") {
    for (const auto& [name, tensor] : read_safetensors(path)) print_tensor("tensor", name, tensor);
  } else if (path.extension() == ".pt2" || is_archive(path)) {
    inspect_program(path, inspection.passes);
  } else {
    throw InputError(path.string() +
                     " is no program: inspect takes a program that torch.export.save wrote (.pt2), a .safetensors "
                     "file, a directory of artifacts, or a channel's directory. Of a file of data give its directory");
  }
  return kExitDone;
}

}  // namespace lockstep

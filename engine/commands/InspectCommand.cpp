#include "engine/commands/InspectCommand.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/Artifact.h"
#include "engine/artifacts/Safetensors.h"
#include "engine/data/ProgramSamples.h"
#include "engine/program/Archive.h"
#include "engine/program/EvalForm.h"
#include "engine/program/Executor.h"
#include "engine/program/Flops.h"
#include "engine/program/Passes.h"
#include "engine/session/Registries.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

std::string shape_text(const std::vector<std::int64_t>& sizes) { return "[" + join(sizes, ", ") + "]"; }

std::string dimensions_text(const Graph& graph, const std::string& value) {
  std::vector<std::string> parts;
  for (const Dimension& size : graph.sizes(value)) {
    parts.push_back(std::holds_alternative<std::string>(size) ? std::get<std::string>(size)
                                                              : std::to_string(std::get<std::int64_t>(size)));
  }
  return std::string(c10::toString(scalar_type_from_archive(graph.scalar_type(value)))) + " [" + join(parts, ", ") +
         "]";
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

void inspect_program(const fs::path& path, bool passes) {
  const Program program = read_archive(path);
  const Graph& graph = program.graph();
  const Executor runnable(program);
  std::printf("program    %s, %s parameters, %zu operator calls\n", program.name().c_str(),
              with_commas(program.parameter_count()).c_str(), graph.nodes.size());
  for (const GraphInput* input : graph.user_inputs()) {
    std::printf("input      %-40s %s\n", input->value.c_str(), dimensions_text(graph, input->value).c_str());
  }
  for (const std::string& output : graph.outputs) {
    std::printf("output     %-40s %s\n", output.c_str(), dimensions_text(graph, output).c_str());
  }
  const std::map<InputKind, std::string> kinds = {
      {InputKind::kParameter, "parameter"}, {InputKind::kBuffer, "buffer"}, {InputKind::kConstant, "constant"}};
  for (const StateTensor& entry : program.state()) print_tensor(kinds.at(entry.kind), entry.name, entry.tensor);
  std::map<std::string, int> operators;
  for (const Node& node : graph.nodes) ++operators[node.target];
  for (const auto& [target, calls] : operators) std::printf("operator   %-40s × %d\n", target.c_str(), calls);
  std::printf("flops      %s\n", flops_text(graph).c_str());
  for (const Export format : Hyperparameters().export_formats) {
    std::string possible = "yes";
    try {
      make_artifact(format)->check(program.with_graph(eval_form(graph)), {});
    } catch (const InputError& error) {
      possible = std::string("no: ") + error.what();
    }
    std::printf("artifact   %-40s %s\n", to_string(format).c_str(), possible.c_str());
  }
  if (!passes) return;
  std::vector<std::string> changes;
  apply_passes(program, Hyperparameters().passes, changes);
  for (const std::string& change : changes) std::printf("pass       %s\n", change.c_str());
  if (changes.empty()) std::printf("pass       none changes this program\n");
}

// What a job would make of them that says nothing else.
std::string targets_text(const std::shared_ptr<const Dataset>& dataset) {
  const ColumnOptions usual = {.ignored_label = Hyperparameters().ignore_index};
  std::string name;
  try {
    name = dataset->spec().fields[choose_columns(dataset->spec(), {}, usual).target.field].name;
  } catch (const InputError& error) {
    return std::string("unknown: ") + error.what();
  }
  const ProgramSamples samples(dataset, {}, usual);
  if (samples.class_labels() && samples.classes() == 0) return name + ", class labels, too many to look at";
  return name + (samples.class_labels()
                     ? format(", class labels 0 … %lld", static_cast<long long>(samples.classes() - 1))
                     : ", numbers");
}

// What the first integers of a field of categories stand for.
std::string categories_text(const Field& field) {
  constexpr std::size_t kMost = 6;
  if (field.categories.empty()) return "";
  const std::span first = std::span(field.categories).first(std::min(kMost, field.categories.size()));
  return " " + with_commas(static_cast<long long>(field.categories.size())) + " categories: " + join(first, ", ") +
         (field.categories.size() > kMost ? ", …" : "");
}

void inspect_channel(const fs::path& path) {
  // There is no program that says how long its samples are; windows of 1 show all tokens there are.
  const OpenedChannel channel = Registries().formats.open(path, {.window = 1});
  const Dataset& dataset = *channel.dataset;
  std::printf("channel    %s samples, of %zu %s of %s\n", with_commas(dataset.size()).c_str(), channel.files,
              channel.files == 1 ? "file" : "files", channel.format.c_str());
  if (!channel.passed_over.none()) std::printf("besides    %s\n", channel.passed_over.text().c_str());
  if (const std::string note = dataset.note(); !note.empty()) std::printf("read as    %s\n", note.c_str());
  for (const Field& field : dataset.spec().fields) {
    std::printf("column     %-40s %-8s %s%s\n", field.name.c_str(), to_string(field.type).c_str(),
                shape_text(field.sizes).c_str(), categories_text(field).c_str());
  }
  std::printf("targets    %s\n", targets_text(channel.dataset).c_str());
  std::printf("digest     %s\n", dataset.digest().c_str());
}

}  // namespace

int inspect_command(const fs::path& path, bool passes) {
  if (passes && path.extension() != ".pt2")
    throw InputError("--passes is for programs (.pt2), not for " + path.string());
  if (fs::is_directory(path)) {
    inspect_channel(path);
  } else if (path.extension() == ".safetensors") {
    for (const auto& [name, tensor] : read_safetensors(path)) print_tensor("tensor", name, tensor);
  } else {
    inspect_program(path, passes);
  }
  return kExitDone;
}

}  // namespace lockstep

#include "engine/artifacts/ModelCard.h"

#include <c10/core/ScalarType.h>

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "common/Crc32c.h"
#include "common/ElementType.h"
#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "common/Version.h"
#include "engine/artifacts/DimensionNames.h"
#include "job/Hyperparameters.h"
#include "job/Json.h"

namespace lockstep {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr const char* kFormat = "lockstep model card";
constexpr int kVersion = 1;
constexpr std::uint64_t kMostBytes = 64 << 20;

ModelCard::Tensor tensor_of(const Graph& graph, const std::string& value, const std::string& name,
                            const std::map<std::string, std::string>& dimensions) {
  ModelCard::Tensor tensor{.name = name,
                           .type = to_string(static_cast<ElementType>(graph.scalar_type(value))),
                           .sizes = plain_sizes(graph.sizes(value))};
  for (Dimension& size : tensor.sizes) {
    const auto* symbol = std::get_if<std::string>(&size);
    const auto known = symbol ? dimensions.find(*symbol) : dimensions.end();
    if (known != dimensions.end()) size = known->second;
  }
  return tensor;
}

ordered_json tensors_json(const std::vector<ModelCard::Tensor>& tensors) {
  ordered_json list = ordered_json::array();
  for (const ModelCard::Tensor& tensor : tensors) {
    ordered_json sizes = ordered_json::array();
    for (const Dimension& size : tensor.sizes) {
      std::visit([&](const auto& each) { sizes.push_back(each); }, size);
    }
    list.push_back({{"name", tensor.name}, {"type", tensor.type}, {"sizes", std::move(sizes)}});
  }
  return list;
}

ordered_json served_json(const std::optional<ModelCard::Served>& served) {
  if (!served) return nullptr;
  return {{"artifacts", served->artifacts},
          {"int8_weights", served->int8_weights},
          {"decodes_images", served->decodes_images},
          {"inputs", tensors_json(served->inputs)},
          {"outputs", tensors_json(served->outputs)}};
}

std::vector<ModelCard::Tensor> read_tensors(const json& list) {
  std::vector<ModelCard::Tensor> tensors;
  for (const json& entry : list) {
    ModelCard::Tensor tensor{.name = entry.at("name"), .type = entry.at("type")};
    for (const json& size : entry.at("sizes")) {
      tensor.sizes.push_back(size.is_string() ? Dimension(size.get<std::string>()) : Dimension(read_int(size, 0)));
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

std::optional<ModelCard::Served> read_served(const json& document, const std::string& origin) {
  const auto found = document.find("served");
  if (found == document.end() || found->is_null()) return std::nullopt;
  return ModelCard::Served{.artifacts = text_list(found->at("artifacts"), origin),
                           .int8_weights = found->at("int8_weights").get<bool>(),
                           .decodes_images = found->value("decodes_images", false),
                           .inputs = read_tensors(found->at("inputs")),
                           .outputs = read_tensors(found->at("outputs"))};
}

// A name within the directory, and nothing above it.
ListedFile read_listed(const std::string& name, const json& file, const std::string& origin) {
  for (const std::string& part : split(name, '/')) {
    if (part.empty() || part == "." || part == "..") {
      throw InputError(origin + " lists " + in_quotes(name) + ", which is no file of the directory");
    }
  }
  return {.name = name,
          .bytes = static_cast<std::uint64_t>(read_int(file.at("bytes"), 0)),
          .crc32c = file.at("crc32c").get<std::string>()};
}

std::string cell(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c == '\n' ? ' ' : c;
  }
  return escaped;
}

std::string table(const std::string& title, const std::vector<ModelCard::Tensor>& tensors) {
  std::string text = "\n## " + title + "\n\n| name | type | sizes |\n|---|---|---|\n";
  for (const ModelCard::Tensor& tensor : tensors) {
    std::vector<std::string> sizes;
    for (const Dimension& size : tensor.sizes) {
      const auto* number = std::get_if<std::int64_t>(&size);
      sizes.push_back(number ? std::to_string(*number) : std::get<std::string>(size));
    }
    text += "| `" + cell(tensor.name) + "` | " + tensor.type + " | [" + join(sizes, ", ") + "] |\n";
  }
  return text;
}

// As lists within lists. Nothing is said of what is empty, nor of hyperparameters that have their defaults.
std::string listed(const ordered_json& members, const std::string& indent, const json& defaults) {
  std::string text;
  for (const auto& [name, value] : members.items()) {
    if (value.empty() || value == "") continue;
    if (defaults.contains(name) && json(value) == defaults.at(name)) continue;
    text += indent + "- " + cell(name) + ":";
    if (value.is_object()) {
      text +=
          "\n" + listed(value, indent + "  ", name == "hyperparameters" ? to_json(Hyperparameters()) : json::object());
    } else {
      text += " " + cell(value.is_string() ? value.get<std::string>() : value.dump()) + "\n";
    }
  }
  return text;
}

std::string markdown(const ModelCard& card) {
  std::string text = "# " + card.program + "\n\nWritten by Lockstep " + kLockstepVersion + ": " +
                     with_commas(card.parameters) + " parameters, digest " + card.digest + ".\n" +
                     table("Inputs", card.inputs) + table("Outputs", card.outputs);
  if (card.served) {
    text += table("Inputs of " + join(card.served->artifacts, ", "), card.served->inputs) +
            table("Outputs of " + join(card.served->artifacts, ", "), card.served->outputs);
    if (card.served->decodes_images) {
      text += "\nThe signature `serving_default` takes `image_bytes`, encoded images; `pixels` takes what is above.\n";
    }
    if (card.served->int8_weights) text += "\nTheir weights of products and convolutions have 8 bits.\n";
  }
  if (card.job.is_object()) text += "\n## Job\n\n" + listed(card.job, "", json::object());
  text += "\n## Files\n\n| name | bytes | CRC-32C |\n|---|---|---|\n";
  for (const ListedFile& file : card.files) {
    text += "| `" + cell(file.name) + "` | " + with_commas(static_cast<long long>(file.bytes)) + " | " + file.crc32c +
            " |\n";
  }
  return text;
}

// Of all but its own member, in one order and without spaces.
std::string checksum(json document) {
  document.erase("crc32c");
  const std::string text = document.dump(-1, ' ', false, json::error_handler_t::replace);
  return format("%08x", crc32c(std::as_bytes(std::span(text))));
}

void write_text(const fs::path& path, const std::string& text) {
  OutputFile file(path);
  file.write(text);
  file.close();
}

}  // namespace

ModelCard ModelCard::of(const Program& program) {
  const Graph& graph = program.graph();
  ModelCard card{.program = program.name(), .digest = program.digest(), .parameters = program.parameter_count()};
  std::vector<std::vector<Dimension>> sizes;
  for (const GraphInput* input : graph.user_inputs()) sizes.push_back(plain_sizes(graph.sizes(input->value)));
  const std::map<std::string, std::string> dimensions = dimension_names(sizes);
  for (const GraphInput* input : graph.user_inputs()) {
    card.inputs.push_back(tensor_of(graph, input->value, input->value, dimensions));
  }
  const std::vector<std::string> names = graph.output_names();
  for (std::size_t i = 0; i < names.size(); ++i) {
    card.outputs.push_back(tensor_of(graph, graph.outputs[i], names[i], dimensions));
  }
  return card;
}

bool ModelCard::is_served(const std::string& entry) const {
  return served && std::ranges::find(served->artifacts, entry) != served->artifacts.end();
}

ModelCard ModelCard::of_artifact(const std::string& entry) const {
  ModelCard card = *this;
  if (!is_served(entry)) return card;
  card.inputs = served->inputs;
  card.outputs = served->outputs;
  return card;
}

ModelCard ModelCard::read(const fs::path& directory) {
  const fs::path path = directory / kFile;
  const json document = parse_json(read_file(path, kMostBytes), path.string());
  try {
    if (document.at("format") != kFormat) throw InputError(path.string() + " is no model card of Lockstep's");
    if (document.at("version") != kVersion) {
      throw InputError(path.string() + " is of version " + document.at("version").dump() + "; this Lockstep reads " +
                       std::to_string(kVersion));
    }
    if (document.at("crc32c") != checksum(document)) {
      throw InputError(path.string() + " is not as it was written: its checksum is " + checksum(document) +
                       ", and it says " + document.at("crc32c").dump());
    }
    ModelCard card{.program = document.at("program").at("name"),
                   .digest = document.at("program").at("digest"),
                   .parameters = read_int(document.at("program").at("parameters"), 0),
                   .inputs = read_tensors(document.at("inputs")),
                   .outputs = read_tensors(document.at("outputs")),
                   .served = read_served(document, path.string()),
                   .job = document.at("job"),
                   .artifacts = text_list(document.at("artifacts"), path.string())};
    for (const auto& [name, file] : document.at("files").items()) {
      card.files.push_back(read_listed(name, file, path.string()));
    }
    return card;
  } catch (const json::exception& error) {
    throw InputError(path.string() + " is no model card of Lockstep's: " + error.what());
  }
}

void ModelCard::write(const fs::path& directory) const {
  const std::string text = markdown(*this);
  std::vector<ListedFile> all = files;
  all.push_back(
      {.name = kText, .bytes = text.size(), .crc32c = format("%08x", crc32c(std::as_bytes(std::span(text))))});
  ordered_json listed = ordered_json::object();
  for (const ListedFile& file : all) listed[file.name] = {{"bytes", file.bytes}, {"crc32c", file.crc32c}};
  ordered_json document = {{"format", kFormat},
                           {"version", kVersion},
                           {"written_by", "lockstep " + std::string(kLockstepVersion)},
                           {"program", {{"name", program}, {"digest", digest}, {"parameters", parameters}}},
                           {"inputs", tensors_json(inputs)},
                           {"outputs", tensors_json(outputs)},
                           {"served", served_json(served)},
                           {"job", job},
                           {"artifacts", artifacts},
                           {"files", std::move(listed)}};
  document["crc32c"] = checksum(json(document));
  write_text(directory / kFile, document.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
  write_text(directory / kText, text);
}

}  // namespace lockstep

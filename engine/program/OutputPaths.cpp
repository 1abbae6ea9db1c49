#include "engine/program/OutputPaths.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/Error.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

namespace {

bool are_names(const json& list, std::size_t count) {
  return list.is_array() && list.size() == count &&
         std::ranges::all_of(list, [](const json& name) { return name.is_string(); });
}

// The keys of a dictionary, or the fields of a dataclass; tuples and lists have none.
std::optional<std::vector<std::string>> names_of(const json& container, std::size_t count) {
  const auto context = container.find("context");
  if (context == container.end() || !context->is_string()) return std::nullopt;
  json names;
  try {
    names = parse_json(context->get<std::string>(), "context");
  } catch (const InputError&) {  // of a named tuple it is the name of its class
    return std::nullopt;
  }
  // A dataclass lists its fields, and then those that were None; a defaultdict its factory, and then its keys.
  if (names.is_array() && !are_names(names, count)) {
    const auto found = std::ranges::find_if(names, [&](const json& list) { return are_names(list, count); });
    if (found == names.end()) return std::nullopt;
    names = json(*found);
  }
  return are_names(names, count) ? std::optional(names.get<std::vector<std::string>>()) : std::nullopt;
}

void add_paths(const json& container, const std::string& path, std::vector<std::string>& paths) {
  const json& children = container.at("children_spec");
  if (container.at("type").is_null()) {  // not a container but what lies in one
    paths.push_back(path.empty() ? "output_0" : path);
    return;
  }
  const auto names = names_of(container, children.size());
  for (std::size_t i = 0; i < children.size(); ++i) {
    const std::string name = names ? (*names)[i] : (path.empty() ? "output_" : "") + std::to_string(i);
    add_paths(children[i], path.empty() ? name : path + "." + name, paths);
  }
}

}  // namespace

std::string dictionary_spec(const std::vector<std::string>& names) {
  const json leaf = {{"type", nullptr}, {"context", nullptr}, {"children_spec", json::array()}};
  const json dictionary = {
      {"type", "builtins.dict"}, {"context", json(names).dump()}, {"children_spec", json(names.size(), leaf)}};
  return json::array({1, dictionary}).dump();
}

std::vector<std::string> output_paths(const json& document) {
  std::vector<std::string> paths;
  try {
    for (const json& call : document.at("graph_module").at("module_call_graph")) {
      if (call.at("fqn") != "" || !call.at("signature").is_object()) continue;
      add_paths(parse_json(call.at("signature").at("out_spec").get<std::string>(), "out_spec").at(1), "", paths);
      break;
    }
  } catch (const json::exception&) {
    return {};
  } catch (const InputError&) {
    return {};
  }
  return paths;
}

}  // namespace lockstep

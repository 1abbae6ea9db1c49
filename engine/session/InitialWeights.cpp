#include "engine/session/InitialWeights.h"

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/files/PlainFile.h"
#include "engine/files/SafetensorsFile.h"
#include "engine/optim/ParameterGroups.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::string text_of(const fs::path& path) {
  const PlainFile file(path);
  if (file.size() > JsonLimits{}.bytes) throw InputError(file.name() + " is too large for an index of weights");
  std::string text(file.size(), ' ');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

std::string type_text(at::ScalarType type) { return to_string(static_cast<ElementType>(scalar_type_to_archive(type))); }

// The tensors of one file, or of all files of an index.
class StoredWeights {
 public:
  explicit StoredWeights(const fs::path& path) {
    if (path.extension() == ".json") {
      read_index(path);
    } else {
      const SafetensorsFile& file = open(path);
      for (const auto& [name, entry] : file.entries()) files_[name] = &file;
    }
  }

  bool has(const std::string& name) const { return files_.contains(name); }
  const SafetensorsFile::Entry& entry(const std::string& name) const { return files_.at(name)->entries().at(name); }
  at::Tensor read(const std::string& name) const {
    const SafetensorsFile::Entry& stored = entry(name);
    at::Tensor tensor = at::empty(stored.sizes, scalar_type_from_archive(static_cast<int>(stored.type)));
    files_.at(name)->read(name, std::span(static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()));
    return tensor;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, file] : files_) names.push_back(name);
    return names;
  }

 private:
  const SafetensorsFile& open(const fs::path& path) {
    std::unique_ptr<SafetensorsFile>& file = opened_[path];
    if (!file) file = std::make_unique<SafetensorsFile>(path);
    return *file;
  }

  void read_index(const fs::path& path) {
    const std::string index = path.string();
    const json document = parse_json(text_of(path), index);
    if (!document.is_object() || !document.contains("weight_map") || !document.at("weight_map").is_object()) {
      throw InputError(index +
                       " has no weight_map, which says in which file each tensor lies: it is no index of "
                       "safetensors files");
    }
    for (const auto& [name, value] : document.at("weight_map").items()) {
      const std::string file = value.is_string() ? value.get<std::string>() : "";
      if (file.empty() || fs::path(file).filename() != file || !file.ends_with(".safetensors")) {
        throw InputError(index + ": the tensor " + in_quotes(name) + " lies in " + excerpt(value) +
                         ", and the name of a safetensors file beside the index is expected");
      }
      const SafetensorsFile& opened = open(path.parent_path() / file);
      if (!opened.entries().contains(name)) {
        throw InputError(index + " says that " + file + " holds the tensor " + in_quotes(name) + ", which it does not");
      }
      files_[name] = &opened;
    }
  }

  std::map<fs::path, std::unique_ptr<SafetensorsFile>> opened_;
  std::map<std::string, const SafetensorsFile*> files_;  ///< by tensor
};

// What the program's tensor of this name is called among the stored.
std::string stored_name(const std::string& name, const std::vector<WeightName>& names) {
  for (const WeightName& pair : names) {
    if (!matches(pair.name, name)) continue;
    const std::size_t star = pair.name.find('*');
    if (star == std::string::npos) return pair.stored;
    const std::string same = name.substr(star, name.size() - (pair.name.size() - 1));
    return std::string(pair.stored).replace(pair.stored.find('*'), 1, same);
  }
  return name;
}

// "a, b, c and 7 more"
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 12;
  if (names.size() <= kMost) return join(names, ", ");
  return join(std::span(names).first(kMost), ", ") + " and " + std::to_string(names.size() - kMost) + " more";
}

// What the program's names and the stored ones come to.
struct Comparison {
  std::vector<std::pair<at::Tensor, std::vector<std::string>>> taken;  // what is stored for each tensor
  std::vector<std::string> missing;
  std::vector<std::string> misshapen;
  std::vector<std::string> unexpected;

  bool exact() const { return missing.empty() && misshapen.empty() && unexpected.empty(); }
  std::string text() const {
    std::vector<std::string> parts;
    const auto add = [&](const char* what, const std::vector<std::string>& names) {
      if (!names.empty()) parts.push_back(what + listed(names));
    };
    add("missing there: ", missing);
    add("of other sizes or another type: ", misshapen);
    add("unexpected there: ", unexpected);
    return join(parts, "; ");
  }
};

Comparison compare(const Program& program, const StoredWeights& stored, const std::vector<WeightName>& names) {
  Comparison result;
  std::set<std::string> used;
  std::set<std::string> matched;  // patterns
  std::set<const void*> seen;
  for (const StateTensor& entry : program.state()) {
    if (!entry.in_state_dict || !seen.insert(entry.tensor.unsafeGetTensorImpl()).second) continue;
    std::vector<std::string> found;
    const std::vector<std::string> own = program.names_of(entry.tensor);
    for (const std::string& name : own) {
      const std::string there = stored_name(name, names);
      if (!stored.has(there) || std::ranges::count(found, there) > 0) continue;
      found.push_back(there);
      used.insert(there);
    }
    if (found.empty()) result.missing.push_back(join(own, " = "));
    bool fits = !found.empty();
    for (const std::string& name : found) {
      const SafetensorsFile::Entry& there = stored.entry(name);
      const at::ScalarType type = entry.tensor.scalar_type();
      const bool of_type = is_real(there.type) ? c10::isFloatingType(type)
                                               : static_cast<int>(there.type) == scalar_type_to_archive(type);
      if (of_type && there.sizes == entry.tensor.sizes().vec()) continue;
      fits = false;
      result.misshapen.push_back(name + " is " + to_string(there.type) + " [" + join(there.sizes, ", ") + "], not " +
                                 type_text(type) + " [" + join(entry.tensor.sizes(), ", ") + "]");
    }
    if (fits) result.taken.emplace_back(entry.tensor, std::move(found));
  }
  for (const std::string& name : stored.names()) {
    if (!used.contains(name)) result.unexpected.push_back(name);
  }
  return result;
}

void require_used(const Program& program, const std::vector<WeightName>& names) {
  for (const WeightName& pair : names) {
    const auto uses = [&](const StateTensor& entry) { return matches(pair.name, entry.name); };
    if (std::ranges::any_of(program.state(), uses)) continue;
    throw InputError("weight_names: the program has no parameter or buffer " + in_quotes(pair.name) +
                     " (the program's name comes first, then =, then the stored one)");
  }
}

}  // namespace

std::string load_initial_weights(const Hyperparameters& hyperparameters, const Program& program) {
  const std::string& path = hyperparameters.initial_weights;
  if (path.empty()) return "";
  require_used(program, hyperparameters.weight_names);
  const StoredWeights stored(path);
  const Comparison found = compare(program, stored, hyperparameters.weight_names);
  const std::string origin = "initial_weights=" + path;
  if (found.taken.empty() || (!found.exact() && hyperparameters.initial_weights_match == WeightsMatch::kExact)) {
    throw InputError(
        origin + (found.taken.empty() ? " has nothing of the program " : " are not those of the program ") +
        program.name() + ": " + found.text() +
        (found.taken.empty() ? ". Say with weight_names=name=stored name what they are called there"
                             : ". Say with weight_names=name=stored name what is called otherwise there, or "
                               "take what matches with initial_weights_match=partial"));
  }
  const c10::NoGradGuard no_grad;
  std::set<std::string> types;
  for (const auto& [tensor, names] : found.taken) {
    const at::Tensor first = stored.read(names[0]);
    for (std::size_t i = 1; i < names.size(); ++i) {
      if (at::equal(first, stored.read(names[i]))) continue;
      throw InputError(path + ": " + names[0] + " and " + names[i] +
                       " differ, and are one tensor in the program, in which they are tied");
    }
    if (first.scalar_type() != tensor.scalar_type()) {
      types.insert(type_text(first.scalar_type()) + " to " + type_text(tensor.scalar_type()));
    }
    tensor.copy_(first);
  }
  std::string text = origin + ": " + std::to_string(found.taken.size()) + " tensors are taken";
  if (!types.empty()) text += ", converted from " + join(std::vector<std::string>(types.begin(), types.end()), ", ");
  return found.exact() ? text : text + "; " + found.text();
}

}  // namespace lockstep

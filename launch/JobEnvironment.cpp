#include "launch/JobEnvironment.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "job/Json.h"

namespace lockstep {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::uint64_t kMaxConfigFile = 16 << 20;

/// A JSON object of the contract and where it came from, for errors.
class Source {
 public:
  Source(json object, std::string origin) : object_(std::move(object)), origin_(std::move(origin)) {
    if (!object_.is_object()) throw InputError(origin_ + " must hold a JSON object, not " + object_.type_name());
  }

  static Source parse(const std::string& text, const std::string& origin) { return {parse_json(text, origin), origin}; }

  const json& object() const { return object_; }

  std::optional<std::string> text(const char* key) const {
    const json* value = find(key);
    if (!value) return std::nullopt;
    if (!value->is_string()) throw InputError(origin_ + ": " + key + " must be a text, not " + excerpt(*value));
    return value->get<std::string>();
  }

  std::optional<std::vector<std::string>> texts(const char* key) const {
    const json* value = find(key);
    return value ? std::optional(text_list(*value, origin_ + ": " + key)) : std::nullopt;
  }

  /// The objects that this one holds by name, where null stands for an empty one.
  std::map<std::string, Source> parts() const {
    std::map<std::string, Source> parts;
    for (const auto& [name, value] : object_.items()) parts.emplace(name, part(value, name));
    return parts;
  }

  std::vector<Source> parts(const char* key) const {
    const json* list = find(key);
    if (list && !list->is_array()) throw InputError(origin_ + ": " + key + " must be a list, not " + excerpt(*list));
    std::vector<Source> parts;
    for (const json& value : list ? *list : json::array()) parts.push_back(part(value, key));
    return parts;
  }

 private:
  Source part(const json& value, const std::string& name) const {
    return {value.is_null() ? json::object() : value, origin_ + ": " + name};
  }

  const json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  json object_;
  std::string origin_;
};

// SageMaker's toolkit writes None as an empty text.
std::optional<std::string> variable(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() || found->second.empty() ? std::nullopt : std::optional(found->second);
}

fs::path place(const Environment& environment, const char* name, const fs::path& otherwise) {
  return variable(environment, name).value_or(otherwise.string());
}

fs::path here(const fs::path& place, const std::string& origin) {
  if (!is_address(place)) return place;
  throw InputError(origin + " must be a directory on this host, not " + in_quotes(place.string()));
}

fs::path base_directory(const Environment& environment, const std::optional<fs::path>& base_dir) {
  return base_dir ? *base_dir : place(environment, "SAGEMAKER_BASE_DIR", "/opt/ml");
}

fs::path input_directory(const Environment& environment, const fs::path& base) {
  return place(environment, "SM_INPUT_DIR", base / "input");
}

fs::path config_directory(const Environment& environment, const fs::path& base) {
  return place(environment, "SM_INPUT_CONFIG_DIR", input_directory(environment, base) / "config");
}

// `copy`: the variable that repeats the file.
std::optional<Source> config_file(const Environment& environment, const fs::path& path, const char* copy = "") {
  std::error_code error;
  const bool exists = fs::exists(path, error);
  if (!exists && is_dead_link(path)) {
    throw InputError(path.string() + " is a link to " + fs::read_symlink(path, error).string() +
                     ", which is not there; mount what it leads to as well, or remove the link");
  }
  // Not to be taken for a missing file: the job would run without what it says.
  if (error) {
    throw InputError("cannot look at " + path.string() + ": " + error.message() +
                     "; the container's user must be allowed to read it");
  }
  if (exists) return Source::parse(read_file(path, kMaxConfigFile), path.string());
  const auto text = variable(environment, copy);
  return text ? std::optional(Source::parse(*text, std::string("the variable ") + copy)) : std::nullopt;
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

void read_hosts(const Environment& environment, const std::optional<Source>& resources, JobEnvironment& job) {
  if (resources) {
    job.current_host = resources->text("current_host").value_or("");
    job.hosts = resources->texts("hosts").value_or(std::vector<std::string>{});
  }
  if (const auto hosts = variable(environment, "SM_HOSTS")) {
    job.hosts = text_list(parse_json(*hosts, "the variable SM_HOSTS"), "the variable SM_HOSTS");
  }
  if (const auto host = variable(environment, "SM_CURRENT_HOST")) job.current_host = *host;
  if (job.hosts.empty()) job.hosts = {job.current_host.empty() ? "localhost" : job.current_host};
  if (job.current_host.empty()) job.current_host = job.hosts.front();
  job.hosts = in_natural_order(std::move(job.hosts), "the container");
  if (std::ranges::count(job.hosts, job.current_host) == 0) {
    throw InputError("this host, " + job.current_host + ", is not among the job's hosts: " + join(job.hosts, ", "));
  }
  if (const auto gpus = variable(environment, "SM_NUM_GPUS")) {
    int count = -1;
    const auto [end, error] = std::from_chars(gpus->data(), gpus->data() + gpus->size(), count);
    if (error != std::errc() || end != gpus->data() + gpus->size() || count < 0 || count > 1024) {
      throw InputError("the variable SM_NUM_GPUS must be a count, not " + in_quotes(*gpus));
    }
    job.gpus = count;
  }
}

void read_groups(const Environment& environment, const std::optional<Source>& resources, JobEnvironment& job) {
  std::vector<Source> groups;
  if (const auto all = variable(environment, "SM_INSTANCE_GROUPS_DICT")) {
    for (const auto& [name, group] : Source::parse(*all, "the variable SM_INSTANCE_GROUPS_DICT").parts()) {
      groups.push_back(group);
    }
  } else if (resources) {
    groups = resources->parts("instance_groups");
  }
  for (const Source& group : groups) {
    job.instance_groups.push_back({.name = group.text("instance_group_name").value_or(""),
                                   .instance_type = group.text("instance_type").value_or(""),
                                   .hosts = group.texts("hosts").value_or(std::vector<std::string>{})});
  }
  const auto own = [&](const char* name, const char* key) {
    const auto set = variable(environment, name);
    return set || !resources ? set.value_or("") : resources->text(key).value_or("");
  };
  job.network_interface = own("SM_NETWORK_INTERFACE_NAME", "network_interface_name");
  job.instance_type = own("SM_CURRENT_INSTANCE_TYPE", "current_instance_type");
  if (!job.instance_type.empty()) return;
  const std::string current = own("SM_CURRENT_INSTANCE_GROUP", "current_group_name");
  for (const InstanceGroup& group : job.instance_groups) {
    if (group.name == current || std::ranges::count(group.hosts, job.current_host) > 0) {
      job.instance_type = group.instance_type;
    }
  }
}

// A channel's directory, also where its name lost its case or its dashes on the way through a shell.
void read_channels(const Environment& environment, const fs::path& data, const std::optional<Source>& inputs,
                   JobEnvironment& job) {
  const auto descriptions = inputs ? inputs->parts() : std::map<std::string, Source>{};
  std::vector<std::string> names;
  for (const auto& [name, description] : descriptions) names.push_back(name);
  if (const auto channels = variable(environment, "SM_CHANNELS")) {
    names = text_list(parse_json(*channels, "the variable SM_CHANNELS"), "the variable SM_CHANNELS");
  }
  for (const std::string& name : names) {
    const auto path = variable(environment, "SM_CHANNEL_" + upper(name));
    job.channels[name] = path ? fs::path(*path) : data / name;
    const auto found = descriptions.find(name);
    if (found == descriptions.end()) continue;
    const std::string content_type = found->second.text("ContentType").value_or("");
    if (!content_type.empty()) job.content_types[name] = content_type;
    if (found->second.text("TrainingInputMode") == "Pipe") job.piped_channels.insert(name);
    if (found->second.text("RecordWrapperType") == "RecordIO") job.wrapped_channels.insert(name);
    if (found->second.text("S3DistributionType") == "ShardedByS3Key") job.sharded_channels.insert(name);
  }
  constexpr std::string_view prefix = "SM_CHANNEL_";
  for (const auto& [name, path] : environment) {
    if (!name.starts_with(prefix) || path.empty()) continue;
    std::string channel = name.substr(prefix.size());
    const bool known = std::ranges::any_of(names, [&](const std::string& other) { return upper(other) == channel; });
    std::ranges::transform(channel, channel.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (!known) job.channels[channel] = path;
  }
}

void read_hyperparameters(const Environment& environment, const std::optional<Source>& file, JobEnvironment& job) {
  const auto add = [&](const Source& source) {
    for (const auto& [name, value] : source.object().items()) job.hyperparameters[name] = value;
  };
  if (file) add(*file);
  if (const auto all = variable(environment, "SM_HPS")) add(Source::parse(*all, "the variable SM_HPS"));
  for (const HyperparameterDescription& known : describe_hyperparameters()) {
    if (const auto value = variable(environment, "SM_HP_" + upper(known.name)))
      job.hyperparameters[known.name] = *value;
  }
}

bool has_sm_variable(const Environment& environment) {
  return std::ranges::any_of(environment, [](const auto& entry) { return entry.first.starts_with("SM_"); });
}

}  // namespace

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos) environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return environment;
}

std::vector<std::string> in_natural_order(std::vector<std::string> hosts, const std::string& origin) {
  // mpirun would take a comma for the next name and a colon for a number of ranks.
  const auto foreign = [](unsigned char c) { return c <= ' ' || c == ',' || c == ':' || c == '/' || c == 0x7f; };
  for (const std::string& host : hosts) {
    if (host.empty() || host.starts_with("-") || std::ranges::any_of(host, foreign)) {
      throw InputError(origin + ": expected names of hosts, as in a,b; found " +
                       (host.empty() ? "an empty name" : in_quotes(host)));
    }
  }
  std::ranges::sort(hosts, natural_less);
  const auto twice = std::ranges::adjacent_find(hosts);
  if (twice != hosts.end()) throw InputError(origin + ": the job's hosts name " + *twice + " twice");
  return hosts;
}

bool is_address(const std::string& text) {
  const std::size_t mark = text.find("://");
  return mark != std::string::npos && mark > 0 &&
         std::ranges::all_of(text.substr(0, mark), [](unsigned char c) { return std::isalnum(c) != 0; });
}

bool is_dead_link(const fs::path& path) {
  std::error_code ignored;
  return fs::is_symlink(path, ignored) && !fs::exists(path, ignored);
}

bool natural_less(const std::string& a, const std::string& b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (!digit(a[i]) || !digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i;
      ++j;
      continue;
    }
    const auto number = [&](const std::string& text, std::size_t& at) {
      while (at < text.size() && text[at] == '0') ++at;
      const std::size_t begin = at;
      while (at < text.size() && digit(text[at])) ++at;
      return std::string_view(text).substr(begin, at - begin);
    };
    const std::string_view left = number(a, i);
    const std::string_view right = number(b, j);
    if (left.size() != right.size()) return left.size() < right.size();
    if (left != right) return left < right;
  }
  if ((i < a.size()) != (j < b.size())) return j < b.size();
  return a < b;  // they differ in leading zeros only
}

std::optional<fs::path> container_output_dir(const Environment& environment, const std::optional<fs::path>& base_dir) {
  const fs::path base = base_directory(environment, base_dir);
  std::error_code ignored;  // a directory that cannot be looked at is there, and so is a link that leads nowhere
  const fs::file_status config = fs::symlink_status(config_directory(environment, base), ignored);
  if (!has_sm_variable(environment) && config.type() == fs::file_type::not_found) return std::nullopt;
  const fs::path output = place(environment, "SM_OUTPUT_DIR", base / "output");
  return is_address(output) ? base / "output" : output;
}

JobEnvironment read_job_environment(const Environment& environment, const std::optional<fs::path>& base_dir) {
  const fs::path base = here(base_directory(environment, base_dir), "the base directory");
  const fs::path config = here(config_directory(environment, base), "the configuration directory");
  for (const fs::path& directory : {base, base / "input", config}) {
    if (is_dead_link(directory)) throw InputError(directory.string() + " is a link whose target is not there");
  }
  const auto resources = config_file(environment, config / "resourceconfig.json", "SM_RESOURCE_CONFIG");
  const auto inputs = config_file(environment, config / "inputdataconfig.json", "SM_INPUT_DATA_CONFIG");
  const auto hyperparameters = config_file(environment, config / "hyperparameters.json");
  const auto checkpoints = config_file(environment, config / "checkpointconfig.json");

  JobEnvironment job;
  const std::optional<fs::path> output_dir = container_output_dir(environment, base_dir);
  job.container = output_dir.has_value();
  job.job_name =
      variable(environment, "TRAINING_JOB_NAME").value_or(variable(environment, "SAGEMAKER_JOB_NAME").value_or(""));
  read_hosts(environment, resources, job);
  read_groups(environment, resources, job);
  read_channels(environment, input_directory(environment, base) / "data", inputs, job);
  read_hyperparameters(environment, hyperparameters, job);
  if (checkpoints) {
    job.checkpoint_dir =
        here(checkpoints->text("LocalPath").value_or(""), (config / "checkpointconfig.json").string() + ": LocalPath");
  }
  job.secret = variable(environment, "LOCKSTEP_JOB_SECRET").value_or("");
  if (job.container) {
    const auto own = [&](const char* name, const fs::path& otherwise) {
      return here(place(environment, name, otherwise), std::string("the variable ") + name);
    };
    job.model_dir = own("SM_MODEL_DIR", base / "model");
    job.output_dir = own("SM_OUTPUT_DIR", *output_dir);
    job.output_data_dir = own("SM_OUTPUT_DATA_DIR", *output_dir / "data");
  }
  return job;
}

}  // namespace lockstep

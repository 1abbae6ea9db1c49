#include "launch/Job.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "job/HyperparameterTable.h"
#include "job/Json.h"
#include "job/RawValue.h"

namespace lockstep {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::uint64_t kMaxJobFile = 16 << 20;
constexpr std::uint64_t kMaxSecret = 4096;

bool is_s3(const std::string& path) { return path.starts_with("s3://"); }

fs::path below(const fs::path& directory, const json& value, const std::string& key, const fs::path& file) {
  const std::string path = value.is_string() ? value.get<std::string>() : "";
  if (path.empty() || is_address(path)) {
    throw InputError(file.string() + ": " + key + " must be a path on this host, not " + excerpt(value));
  }
  return (directory / path).lexically_normal();
}

// Returns whether it says where metrics go.
bool read_job_file(const fs::path& file, Job& job) {
  const json document = parse_json(read_file(file, kMaxJobFile), file.string());
  if (!document.is_object()) throw InputError(file.string() + " must hold a JSON object");
  const fs::path directory = fs::absolute(file).parent_path();
  for (const auto& [key, value] : document.items()) {
    if (key == "job_name") {
      job.config.job_name = value.is_string() ? value.get<std::string>() : value.dump();
    } else if (key == "model_dir") {
      job.config.model_dir = below(directory, value, key, file);
    } else if (key == "checkpoint_dir") {
      job.config.checkpoint_dir = below(directory, value, key, file);
    } else if (key == "output_dir") {
      job.config.output_dir = below(directory, value, key, file);
    } else if (key == "output_data_dir") {
      job.config.output_data_dir = below(directory, value, key, file);
    } else if (key == "hosts") {
      job.hosts = in_natural_order(text_list(value, file.string() + ": hosts"), file.string());
    } else if (key == "launcher") {
      job.launcher = launcher_named(value.is_string() ? value.get<std::string>() : value.dump());
    } else if (key == "channels") {
      if (!value.is_object()) throw InputError(file.string() + ": channels must be an object, name → directory");
      for (const auto& [name, path] : value.items()) {
        job.config.channels[name] = below(directory, path, "channel " + name, file);
      }
    } else if ((key == "model" && value.is_string() && value.get<std::string>().ends_with(".pt2")) ||
               (key == "secret_file" && !RawValue(value).is_null())) {
      job.hyperparameters[key] = below(directory, value, key, file).string();
    } else {
      job.hyperparameters[key] = value;
    }
  }
  if (document.contains("output_dir") && !document.contains("output_data_dir")) job.config.output_data_dir.clear();
  return document.contains("output_data_dir");
}

// SageMaker's framework estimators send `model_dir` among the hyperparameters: an S3 address, which the container
// cannot write to, or the directory that is used anyway. Takes it out and returns it, or "".
std::string take_model_dir(RawHyperparameters& hyperparameters) {
  const auto found = hyperparameters.find("model_dir");
  if (found == hyperparameters.end()) return "";
  const RawValue value(found->second);
  hyperparameters.erase(found);
  return value.is_null() || value.text() == "/opt/ml/model" ? "" : value.text();
}

// What the container says of channels becomes the job's own, so that ranks and hosts know it alike.
void choose_sharded(Job& job) {
  std::vector<std::string>& sharded = job.config.hyperparameters.sharded;
  for (const std::string& name : sharded) {
    if (job.config.channels.contains(name)) continue;
    std::vector<std::string> names;
    for (const auto& [channel, path] : job.config.channels) names.push_back(channel);
    throw InputError("sharded names the channel " + in_quotes(name) + ", and there is " +
                     (names.empty() ? "none" : join(names, ", ")));
  }
  sharded.insert(sharded.end(), job.sharded_channels.begin(), job.sharded_channels.end());
  std::ranges::sort(sharded);
  sharded.erase(std::unique(sharded.begin(), sharded.end()), sharded.end());
}

// The hosts of the groups that the job names; every host if it names none.
void choose_hosts(Job& job) {
  const std::vector<std::string>& wanted = job.config.hyperparameters.instance_groups;
  if (wanted.empty()) return;
  std::set<std::string> chosen;
  for (const std::string& name : wanted) {
    const auto group = std::ranges::find(job.instance_groups, name, &InstanceGroup::name);
    if (group == job.instance_groups.end()) {
      std::vector<std::string> names;
      for (const InstanceGroup& known : job.instance_groups) names.push_back(known.name);
      throw InputError("instance_groups: the job has no group " + in_quotes(name) + "; it has " +
                       (names.empty() ? "none" : join(names, ", ")));
    }
    // Where there is one group, no list of its hosts is needed.
    const std::vector<std::string>& hosts = job.instance_groups.size() == 1 ? job.hosts : group->hosts;
    if (hosts.empty()) {
      throw InputError("instance_groups: the resource configuration does not say which hosts are in " +
                       in_quotes(name) + "; leave instance_groups out to train on all hosts");
    }
    chosen.insert(hosts.begin(), hosts.end());
  }
  std::erase_if(job.hosts, [&](const std::string& host) { return !chosen.contains(host); });
  if (job.hosts.empty()) {
    throw InputError("instance_groups: no host of " + join(wanted, ", ") + " is among the job's hosts");
  }
  job.takes_part = std::ranges::count(job.hosts, job.config.host) > 0;
  if (!job.takes_part) {
    job.notes = {"this host, " + job.config.host +
                 ", takes no part: it is in none of the instance groups that train (" + join(wanted, ", ") + ")"};
  }
}

void check_checkpoint_dir(const Job& job) {
  const fs::path& place = job.config.checkpoint_dir;
  if (!place.empty()) {
    const fs::path inside = place.lexically_normal().lexically_relative(job.config.model_dir.lexically_normal());
    if (!inside.empty() && *inside.begin() != "..") {
      throw InputError("checkpoint_dir " + place.string() + " is in the model directory " +
                       job.config.model_dir.string() + ", which holds artifacts only; choose another place");
    }
    return;
  }
  for (const HyperparameterRow& row : hyperparameter_table()) {
    if (!row.needs_checkpoints(job.config.hyperparameters)) continue;
    if (!job.config.given.contains(row.name)) continue;
    throw InputError("hyperparameter " + row.name +
                     " does nothing without a place for checkpoints: give --checkpoint_dir DIR, or checkpoint_dir in "
                     "the job file; in SageMaker, a checkpoint configuration (checkpoint_s3_uri)");
  }
}

// What a job file or the flags have besides hyperparameters, and how it is given.
constexpr std::pair<const char*, const char*> kNoHyperparameters[] = {
    {"channel", "--channel NAME=DIR among the flags, channels in a job file"},
    {"channels", "--channel NAME=DIR among the flags, channels (an object, name → directory) in a job file"},
    {"hosts", "--hosts A,B among the flags, hosts in a job file"},
    {"launcher", "--launcher ssh among the flags, launcher in a job file"},
    {"job_name",
     "--job_name NAME among the flags, job_name in a job file, the variable TRAINING_JOB_NAME in a container"},
    {"model_dir", "--model_dir DIR among the flags, model_dir in a job file"},
    {"checkpoint_dir",
     "--checkpoint_dir DIR among the flags, checkpoint_dir in a job file, a checkpoint configuration (LocalPath) in "
     "SageMaker"},
    {"output_dir", "--output_dir DIR among the flags, output_dir in a job file"},
    {"output_data_dir", "--output_data_dir DIR among the flags, output_data_dir in a job file"},
    {"base_dir", "--base_dir DIR among the flags, or the variable SAGEMAKER_BASE_DIR"},
    {"print_config", "--print-config among the flags"},
};

// The file wins over the variable: who names it means it.
void read_secret(Job& job) {
  const std::string& file = job.config.hyperparameters.secret_file;
  std::string origin = "the variable LOCKSTEP_JOB_SECRET";
  if (!file.empty()) {
    origin = "secret_file " + file;
    std::error_code error;
    if (fs::status(file, error).type() == fs::file_type::not_found) {
      job.absent.push_back(origin + " is not there: every host of the job must have this file");
      return;
    }
    try {
      job.secret = read_file(file, kMaxSecret);
    } catch (const InputError& unreadable) {
      throw InputError(std::string("secret_file: ") + unreadable.what());
    }
    if (job.secret.ends_with('\n')) job.secret.pop_back();  // that an editor leaves
    if (job.secret.empty()) throw InputError(origin + " is empty: it must hold the job's secret");
  }
  try {
    static_cast<void>(json(job.secret).dump());
  } catch (const json::exception&) {
    throw InputError(origin + " does not hold a text: a secret must be UTF-8, as base64 is");
  }
}

bool holds_secret(const Job& job, const fs::path& channel) {
  const std::string& file = job.config.hyperparameters.secret_file;
  if (file.empty()) return false;
  const fs::path inside = fs::absolute(file).lexically_normal().lexically_relative(channel.lexically_normal());
  return !inside.empty() && *inside.begin() != "..";
}

Job job_of(const JobEnvironment& environment) {
  Job job;
  job.config.job_name = environment.job_name;
  job.config.host = environment.current_host;
  job.config.channels = environment.channels;
  job.config.content_types = environment.content_types;
  job.config.model_dir = environment.model_dir;
  job.config.checkpoint_dir = environment.checkpoint_dir;
  job.config.output_dir = environment.output_dir;
  job.config.output_data_dir = environment.output_data_dir;
  job.container = environment.container;
  job.hosts = environment.hosts;
  job.gpus = environment.gpus;
  job.network_interface = environment.network_interface;
  job.instance_type = environment.instance_type;
  job.instance_groups = environment.instance_groups;
  job.piped_channels = environment.piped_channels;
  job.wrapped_channels = environment.wrapped_channels;
  job.sharded_channels = environment.sharded_channels;
  job.hyperparameters = environment.hyperparameters;
  return job;
}

/// Where the job reads and writes. `asked`: a model_dir among the hyperparameters. `file_says_metrics`: the job file
/// names output_data_dir itself.
void resolve_directories(const JobArguments& arguments, std::string asked, bool file_says_metrics, Job& job) {
  auto directories = arguments.directories;
  // SageMaker's toolkit hands the hyperparameters over as flags.
  if (const auto flag = directories.find("model_dir"); flag != directories.end() && is_s3(flag->second)) {
    asked = flag->second;
    directories.erase(flag);
  }
  const auto directory = [&](const char* name, fs::path& place, const fs::path& otherwise) {
    const auto flag = directories.find(name);
    if (flag != directories.end()) place = flag->second;
    if (place.empty()) place = otherwise;
    if (is_address(place)) {
      throw InputError(std::string(name) + " must be a directory on this host, not " + in_quotes(place.string()));
    }
    if (!place.empty()) place = fs::absolute(place);
  };
  // With the directory that it is below, unless something names it itself.
  if (directories.contains("output_dir") && !file_says_metrics) job.config.output_data_dir.clear();
  directory("model_dir", job.config.model_dir, "model");
  if (is_s3(asked)) {
    job.notes.push_back("model_dir=" + asked + " is not written to: artifacts go to " + job.config.model_dir.string() +
                        ", which SageMaker uploads");
  }
  directory("checkpoint_dir", job.config.checkpoint_dir, "");
  directory("output_dir", job.config.output_dir, "output");
  directory("output_data_dir", job.config.output_data_dir, job.config.output_dir / "data");
}

}  // namespace

Job gather_job(const JobEnvironment& environment, const JobArguments& arguments) {
  Job job = job_of(environment);
  std::string asked = take_model_dir(job.hyperparameters);
  if (!asked.empty() && !is_s3(asked)) job.config.model_dir = asked;
  job.secret = environment.secret;
  const bool file_says_metrics = arguments.job_file && read_job_file(*arguments.job_file, job);
  if (arguments.job_name && !arguments.job_name->empty()) job.config.job_name = *arguments.job_name;
  if (!arguments.hosts.empty()) job.hosts = in_natural_order(arguments.hosts, "--hosts");
  if (arguments.launcher) job.launcher = *arguments.launcher;
  for (const auto& [name, path] : arguments.channels) job.config.channels[name] = path;
  // What the container says of a channel is not so where the job file or a flag has given another directory.
  const auto is_other = [&](const std::string& name) {
    return job.config.channels.at(name) != environment.channels.at(name);
  };
  std::erase_if(job.piped_channels, is_other);
  std::erase_if(job.sharded_channels, is_other);
  std::erase_if(job.config.content_types, [&](const auto& type) { return is_other(type.first); });
  for (const auto& [name, value] : arguments.hyperparameters) job.hyperparameters[name] = value;
  resolve_directories(arguments, asked, file_says_metrics, job);
  for (auto& [name, path] : job.config.channels) {
    if (name.empty() || is_address(path)) {
      throw InputError("channel " + in_quotes(name) + ": expected a name and a directory on this host, not " +
                       in_quotes(path.string()));
    }
    path = fs::absolute(path);
  }
  return job;
}

namespace {

// What ranks that are started anew go on from.
void check_min_hosts(const Job& job) {
  const std::int64_t fewest = job.config.hyperparameters.min_hosts;
  if (fewest == 0) return;
  const std::string name = "min_hosts=" + std::to_string(fewest);
  if (std::cmp_greater(fewest, job.hosts.size())) {
    throw InputError(name + ", and the job has " + std::to_string(job.hosts.size()) + " hosts");
  }
  if (job.launcher != Launcher::kConnection) {
    throw InputError(name + " does nothing with launcher=ssh: run `lockstep train` on every host");
  }
  if (job.config.checkpoint_dir.empty()) {
    throw InputError(name + " needs a checkpoint directory, from which a job goes on when hosts are lost");
  }
  if (!job.config.hyperparameters.sharded.empty()) {
    throw InputError(name +
                     ": each host has samples of its own (sharded), which are lost with it; give all hosts all "
                     "files");
  }
}

}  // namespace

void check_job(Job& job) {
  std::vector<std::string> others;
  for (const auto& [name, where] : kNoHyperparameters) {
    others.emplace_back(name);
    if (job.hyperparameters.contains(name)) {
      throw InputError(in_quotes(name) + " does nothing where it was given: it is no hyperparameter. Give " + where);
    }
  }
  job.config.hyperparameters = parse_hyperparameters(job.hyperparameters, others);
  for (const auto& [name, value] : job.hyperparameters) {
    if (!RawValue(value).is_null()) job.config.given.insert(name);
  }
  check_checkpoint_dir(job);
  choose_hosts(job);
  if (!job.takes_part) return;
  choose_sharded(job);
  check_min_hosts(job);
  read_secret(job);
  const bool synthetic = job.config.hyperparameters.data == Data::kSynthetic;
  for (const auto& [name, path] : job.config.channels) {
    if (synthetic && !holds_secret(job, path)) {
      throw InputError("channel " + in_quotes(name) +
                       " does nothing in this job: data=synthetic makes its samples up; " + "leave out one of the two");
    }
    if (job.piped_channels.contains(name)) {
      job.notes.push_back("channel " + name + " is streamed (Pipe): all of it is copied to this host first, from " +
                          path.string() + "_0; FastFile needs no copy");
      continue;
    }
    std::error_code error;
    const fs::file_type found = fs::status(path, error).type();
    // A host that gets no files of a channel may not get its directory either.
    if (found == fs::file_type::not_found && may_lack_files(job, name) && !is_dead_link(path)) continue;
    if (found != fs::file_type::directory) {
      job.absent.push_back("channel " + in_quotes(name) + ": " + path.string() + " is not a directory" +
                           (is_dead_link(path) ? ": it is a link whose target is not there"
                            : error            ? ": " + error.message()
                                               : ""));
    }
  }
}

bool may_lack_files(const Job& job, const std::string& channel) {
  return job.hosts.size() > 1 && std::ranges::count(job.config.hyperparameters.sharded, channel) > 0;
}

void require_present(const std::vector<std::string>& absent) {
  if (!absent.empty()) throw InputError(absent.front());
}

}  // namespace lockstep

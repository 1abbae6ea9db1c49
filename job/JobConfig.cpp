#include "job/JobConfig.h"

#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

std::string write_job_config(const JobConfig& config) {
  json channels = json::object();
  for (const auto& [name, path] : config.channels) channels[name] = path.string();
  const json document = {{"job_name", config.job_name},
                         {"host", config.host},
                         {"channels", channels},
                         {"content_types", config.content_types},
                         {"model_dir", config.model_dir.string()},
                         {"checkpoint_dir", config.checkpoint_dir.string()},
                         {"output_data_dir", config.output_data_dir.string()},
                         {"output_dir", config.output_dir.string()},
                         {"threads", config.threads},
                         {"cores", config.cores},
                         {"gpus", config.gpus},
                         {"local_rank", config.local_rank},
                         {"announced_ranks", config.announced_ranks},
                         {"status_file", config.status_file.string()},
                         {"pages_file", config.pages_file.string()},
                         {"efa", config.efa},
                         {"terminal", config.terminal},
                         {"given", config.given},
                         {"hyperparameters", to_json(config.hyperparameters)}};
  try {
    return document.dump();
  } catch (const json::exception& error) {
    throw InputError(std::string("a path or name of the job is not UTF-8: ") + error.what());
  }
}

JobConfig read_job_config(const std::string& text) {
  try {
    const json document = parse_json(text, "this is not a job that `lockstep` wrote: it");
    JobConfig config;
    config.job_name = document.at("job_name");
    config.host = document.at("host");
    for (const auto& [name, path] : document.at("channels").items()) config.channels[name] = path.get<std::string>();
    config.content_types = document.at("content_types");
    config.model_dir = document.at("model_dir").get<std::string>();
    config.checkpoint_dir = document.at("checkpoint_dir").get<std::string>();
    config.output_data_dir = document.at("output_data_dir").get<std::string>();
    config.output_dir = document.at("output_dir").get<std::string>();
    config.threads = read_int(document.at("threads"));
    config.cores = read_int(document.at("cores"));
    config.gpus = read_int(document.at("gpus"));
    config.local_rank = read_int(document.at("local_rank"));
    config.announced_ranks = read_int(document.at("announced_ranks"));
    config.status_file = document.at("status_file").get<std::string>();
    config.pages_file = document.at("pages_file").get<std::string>();
    config.efa = document.at("efa");
    config.terminal = document.at("terminal");
    config.given = document.at("given").get<std::set<std::string>>();
    config.hyperparameters = hyperparameters_from_json(document.at("hyperparameters"));
    return config;
  } catch (const json::exception& error) {
    throw InputError(std::string("this is not a job that `lockstep` wrote: ") + error.what());
  }
}

}  // namespace lockstep

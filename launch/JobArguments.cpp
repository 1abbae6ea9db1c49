#include "launch/JobArguments.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

Launcher launcher_named(const std::string& name) {
  if (name == "connection") return Launcher::kConnection;
  if (name == "ssh") return Launcher::kSsh;
  throw InputError("launcher: expected connection or ssh, found " + in_quotes(name));
}

namespace {

// The names of a,b or "a, b". What is no name among them is found when all hosts are known.
std::vector<std::string> trimmed_names(const std::string& list) {
  std::vector<std::string> names = split(list, ',');
  for (std::string& name : names) {
    const std::size_t first = name.find_first_not_of(' ');
    name = first == std::string::npos ? "" : name.substr(first, name.find_last_not_of(' ') - first + 1);
  }
  return names;
}

// What --NAME VALUE says.
void assign(const std::string& name, const std::string& value, JobArguments& parsed) {
  const bool directory =
      name == "model_dir" || name == "checkpoint_dir" || name == "output_dir" || name == "output_data_dir";
  if ((directory || name == "base_dir") && value.empty()) throw InputError("--" + name + " needs a value");
  if (name == "base_dir") {
    parsed.base_dir = value;
  } else if (directory) {
    parsed.directories[name] = value;
  } else if (name == "hosts") {
    parsed.hosts = trimmed_names(value);
  } else if (name == "job_name") {
    parsed.job_name = value;
  } else if (name == "launcher") {
    parsed.launcher = launcher_named(value);
  } else if (name == "channel") {
    const std::size_t split = value.find('=');
    if (split == std::string::npos || split == 0 || split + 1 == value.size()) {
      throw InputError("--channel takes NAME=DIRECTORY, not " + in_quotes(value));
    }
    parsed.channels[value.substr(0, split)] = value.substr(split + 1);
  } else {
    parsed.hyperparameters[name] = value;
  }
}

}  // namespace

JobArguments parse_job_arguments(const std::vector<std::string>& arguments) {
  JobArguments parsed;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "-h" || argument == "--help") {
      parsed.help = true;
      continue;
    }
    // SageMaker's toolkit hands a hyperparameter of one letter over as -x.
    const bool letter = argument.size() == 2 && argument[0] == '-' && std::isalpha(argument[1]) != 0;
    if (argument == "--" || (argument.size() > 1 && argument[0] == '-' && argument[1] != '-' && !letter)) {
      throw InputError("unknown flag " + in_quotes(argument) +
                       "; flags are --NAME VALUE, `lockstep train --help` lists them");
    }
    if (!argument.starts_with("--") && !letter) {
      if (parsed.job_file)
        throw InputError("one job file is enough: " + parsed.job_file->string() + " and " + argument);
      parsed.job_file = argument;
      continue;
    }
    const std::size_t equals = argument.find('=');
    const std::size_t dashes = letter ? 1 : 2;
    std::string name = argument.substr(dashes, equals == std::string::npos ? equals : equals - dashes);
    std::ranges::replace(name, '-', '_');
    if (name == "print_config" && equals == std::string::npos) {
      parsed.print_config = true;
      continue;
    }
    std::string value;
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      throw InputError(argument + " needs a value");
    }
    assign(name, value, parsed);
  }
  return parsed;
}

std::optional<std::filesystem::path> output_dir_among(const std::vector<std::string>& arguments) {
  std::optional<std::filesystem::path> found;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    for (const char* flag : {"--output_dir", "--output-dir"}) {
      if (arguments[i] == flag && i + 1 < arguments.size()) found = arguments[i + 1];
      if (arguments[i].starts_with(std::string(flag) + "=")) found = arguments[i].substr(std::string(flag).size() + 1);
    }
  }
  return found && found->empty() ? std::nullopt : found;
}

}  // namespace lockstep

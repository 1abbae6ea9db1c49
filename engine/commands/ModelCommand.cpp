#include "engine/commands/ModelCommand.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/program/Archive.h"
#include "engine/program/BuiltinPrograms.h"
#include "job/BuiltinChoices.h"
#include "job/Hyperparameters.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// Whether a built-in program is made by it.
bool is_of_programs(const std::string& hyperparameter) {
  return hyperparameter == "seed" || !readers_of(builtin_programs(), hyperparameter).empty();
}

}  // namespace

int model_command(int count, const char* const* arguments) {
  std::vector<std::int64_t> input_shape;
  std::int64_t classes = 0;
  std::string name;
  std::string output;
  std::map<std::string, std::string> given;
  CLI::App app("Writes a built-in program as a .pt2 archive, with initial values drawn from the seed.",
               "lockstep model");
  app.add_option("NAME", name, "The program: " + join(names_of(builtin_programs()), ", "))->required();
  app.add_option("-o,--output", output, "The file to write")->required();
  app.add_option("--input_shape", input_shape,
                 "Of one sample: channels,height,width; of texts model_length says it. What is not given is as the "
                 "published model of that name has it; mlp and cnn take 1,28,28")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  app.add_option("--classes", classes, "Width of the output; of mlp and cnn 10")->check(CLI::PositiveNumber);
  for (const HyperparameterDescription& row : describe_hyperparameters()) {
    if (!is_of_programs(row.name)) continue;
    app.add_option("--" + row.name, given[row.name], row.help)->type_name(row.type)->default_str(row.default_value);
  }
  try {
    app.parse(count, const_cast<char**>(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitBadInput;
  }
  std::erase_if(given, [](const auto& flag) { return flag.second.empty(); });
  RawHyperparameters raw(given.begin(), given.end());
  raw["model"] = built_in_program(name).name;
  BuiltinOptions options = builtin_options(parse_hyperparameters(raw));
  if (!input_shape.empty() && options.length == 0) options.input_shape = input_shape;
  if (classes > 0) options.classes = classes;
  const Program program = build_builtin_program(name, options);
  const fs::path file = fs::absolute(output);
  remove_abandoned_staging(file.parent_path(), file.filename().string());
  StagingDirectory staging(file.parent_path(), file.filename().string());
  write_archive(program, staging.path() / file.filename());
  staging.publish();
  std::printf("%s: %s, %s parameters\n", output.c_str(), name.c_str(), with_commas(program.parameter_count()).c_str());
  return kExitDone;
}

}  // namespace lockstep

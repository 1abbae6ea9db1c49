#include "engine/commands/ModelCommand.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/program/Archive.h"
#include "engine/program/BuiltinPrograms.h"

namespace lockstep {

namespace fs = std::filesystem;

int model_command(int count, const char* const* arguments) {
  BuiltinOptions options;
  std::string name;
  std::string output;
  std::string norm = "batch";
  CLI::App app("Writes a built-in program as a .pt2 archive, with initial values drawn from the seed.",
               "lockstep model");
  app.add_option("NAME", name, "The program: " + join(builtin_program_names(), ", "))->required();
  app.add_option("-o,--output", output, "The file to write")->required();
  app.add_option("--input_shape", options.input_shape, "Of one sample: channels,height,width")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--classes", options.classes, "Width of the output")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--model_channels", options.channels, "cnn: channels of each conv block")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--model_hidden", options.hidden, "Widths of the hidden linear layers")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--model_norm", norm, "cnn: normalization")
      ->check(CLI::IsMember({"batch", "none"}))
      ->capture_default_str();
  app.add_option("--model_dropout", options.dropout, "Probability of dropping")
      ->check(CLI::Range(0.0, 0.999))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Of the initial values")->capture_default_str();
  try {
    app.parse(count, const_cast<char**>(arguments));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitBadInput;
  }
  options.batch_norm = norm == "batch";
  const Program program = build_builtin_program(name, options);
  const fs::path file = fs::absolute(output);
  StagingDirectory staging(file.parent_path());
  write_archive(program, staging.path() / file.filename());
  staging.publish();
  std::printf("%s: %s, %s parameters\n", output.c_str(), name.c_str(), with_commas(program.parameter_count()).c_str());
  return kExitDone;
}

}  // namespace lockstep

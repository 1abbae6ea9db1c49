#include "engine/commands/CheckCommand.h"

#include <cstdio>

#include "common/Error.h"
#include "engine/artifacts/ModelDirectory.h"

namespace lockstep {

int check_command(const std::vector<std::string>& arguments) {
  if (arguments.size() != 1 || arguments[0].starts_with("-")) {
    throw InputError("check takes the path of one directory of artifacts");
  }
  for (const std::string& line : check_model_directory(arguments[0])) std::printf("%s\n", line.c_str());
  return kExitDone;
}

}  // namespace lockstep

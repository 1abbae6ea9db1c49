// lockstep-rank: the program that links libtorch. `lockstep` starts it; people start `lockstep`.

#include <signal.h>

#include <exception>
#include <iostream>
#include <string>

#include "common/Error.h"
#include "engine/commands/CheckCommand.h"
#include "engine/commands/ExportCommand.h"
#include "engine/commands/Failure.h"
#include "engine/commands/InspectCommand.h"
#include "engine/commands/ModelCommand.h"
#include "engine/commands/RankCommand.h"
#include "engine/commands/ReportCommand.h"

int main(int argc, char** argv) {
  using namespace lockstep;
  const std::string command = argc > 1 ? argv[1] : "";
  try {
    if (command == "train" && argc == 3) {
      // A reader that goes away must not end a job, and a limit of files' sizes shall be an error of the write.
      ::signal(SIGPIPE, SIG_IGN);
      ::signal(SIGXFSZ, SIG_IGN);
      return rank_command(argv[2]);
    }
    if (command == "model") return model_command(argc - 1, argv + 1);
    if (command == "export") return export_command(argc - 1, argv + 1);
    if (command == "check") return check_command({argv + 2, argv + argc});
    if (command == "report") return report_command({argv + 2, argv + argc});
    if (command == "inspect") return inspect_command({argv + 2, argv + argc});
    std::cerr
        << "usage: lockstep-rank train JOB.json | model NAME -o FILE.pt2 … | export FILE.pt2 -o DIRECTORY … | check "
           "DIRECTORY | inspect FILE … | report DIRECTORY …\n";
    return kExitBadInput;
  } catch (const std::exception&) {
    const Failure failure = current_failure(command + " failed");
    std::cerr << "lockstep: error: " << failure.text << "\n";
    return failure.code;
  }
}

// lockstep: the program that people and containers start. It links neither torch nor MPI.

#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "common/Error.h"
#include "common/ExitCodes.h"
#include "common/FailureFile.h"
#include "common/Version.h"
#include "job/Hyperparameters.h"
#include "launch/JobEnvironment.h"
#include "launch/PlanCommand.h"
#include "launch/RemoteStart.h"
#include "launch/StatusCommand.h"
#include "launch/TrainCommand.h"

namespace {

constexpr const char* kUsage =
    "usage: lockstep COMMAND\n"
    "\n"
    "  train [JOB.json] [flags]      train a program across ranks; also without any argument, in a container\n"
    "  plan [JOB.json] [flags]       print hosts, ranks, paths and the exact command; start nothing\n"
    "  plan --predict RUN [flags]    how long a step would take on more hosts and ranks (docs/prediction.md)\n"
    "  status [--hosts A,B…]         where a running job of several hosts is; asks its leader\n"
    "  model NAME -o FILE.pt2        write a built-in program (mlp, cnn, resnet18, vit, gpt, bert, …)\n"
    "  export FILE.pt2 -o DIRECTORY  write artifacts of a program, also with the weights of a checkpoint\n"
    "  check DIRECTORY               whether artifacts are what was written, and compute what they computed then\n"
    "  inspect FILE [flags]          what a .pt2, a .safetensors or a channel directory holds\n"
    "  report DIRECTORY …            a run's report.html from its metrics.jsonl, or one page of several\n"
    "  hyperparameters               the table of hyperparameters, as Markdown\n"
    "  version\n"
    "\n"
    "`lockstep COMMAND --help` says more.\n";

void print_help() {
  std::cout << kUsage << "\nExit codes:\n";
  for (const auto& row : lockstep::describe_exit_codes()) {
    std::cout << "  " << row.code << std::string(9 - row.code.size(), ' ') << row.meaning << "\n";
  }
  std::cout << "After every code but 0 and exit_code_when_stopped, the output directory's `failure` says why.\n";
}

void print_hyperparameters() {
  std::cout << "| name | values | default | what it does |\n|---|---|---|---|\n";
  for (const auto& row : lockstep::describe_hyperparameters()) {
    std::string type = row.type;
    for (std::size_t at = 0; (at = type.find('|', at)) != std::string::npos; at += 2) type.replace(at, 1, "\\|");
    std::cout << "| `" << row.name << "` | " << type << " | `" << row.default_value << "` | " << row.help << " |\n";
  }
}

int run(std::vector<std::string> arguments) {
  using namespace lockstep;
  // A container starts the program with `train`, with nothing, or with hyperparameters alone.
  if (arguments.empty() && !container_output_dir(process_environment(), std::nullopt)) {
    std::cerr << kUsage;
    return kExitBadInput;
  }
  const bool flags_only = !arguments.empty() && arguments[0].starts_with("-") && arguments[0] != "--help" &&
                          arguments[0] != "-h" && arguments[0] != "--version";
  const std::string command = arguments.empty() || flags_only ? "train" : arguments[0];
  if (!arguments.empty() && !flags_only) arguments.erase(arguments.begin());
  if (command == "train") return train_command(arguments);
  if (command == "plan") return plan_command(arguments);
  if (command == "status") return status_command(arguments);
  if (command == "remote-start") return remote_start_command(arguments);  // mpirun calls it
  if (command == "inspect") {
    const bool help = !arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h");
    if (help || arguments.empty()) {
      std::cout << "usage: lockstep inspect FILE.pt2 [--passes] | FILE.safetensors | MODEL_DIRECTORY |\n"
                   "                        CHANNEL_DIRECTORY [flags]\n"
                   "  --passes       also what the rewritings for speed (hyperparameter passes) change in the program\n"
                   "  --statistics   reads all samples: ranges, means and deviations, class counts, missing values\n"
                   "  --content_type TYPE\n"
                   "                 what the hyperparameter content_type says, as in 'text/csv; header=absent'\n"
                   "  --columns LIST what the hyperparameter columns says, as in target=digit\n"
                   "  --fields JSON  also what the hyperparameter fields would make of the columns\n"
                   "  --sheet FILE   also writes a PNG of up to 64 of the channel's images\n";
      return help ? kExitDone : kExitBadInput;
    }
  }
  if (command == "check" && (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h")) {
    std::cout << "usage: lockstep check DIRECTORY\n"
                 "Compares the files of a directory of artifacts with its model_card.json, reads each artifact as its\n"
                 "consumer would, and compares what it computes with what probes.safetensors holds.\n";
    return arguments.empty() ? kExitBadInput : kExitDone;
  }
  if (command == "report" && (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h")) {
    std::cout
        << "usage: lockstep report DIRECTORY [DIRECTORY …] [-o FILE.html]\n"
           "Makes report.html from the metrics.jsonl of a run's output directory; of several runs, one page that\n"
           "compares them.\n";
    return arguments.empty() ? kExitBadInput : kExitDone;
  }
  if (command == "model" || command == "report" || command == "export" || command == "check" || command == "inspect") {
    arguments.insert(arguments.begin(), command);
    become_rank(arguments);
  }
  const bool alone = command == "hyperparameters" || command == "version" || command == "--version";
  if (alone && !arguments.empty()) throw InputError(command + " takes no argument, and was given " + arguments[0]);
  if (command == "hyperparameters") {
    print_hyperparameters();
    return kExitDone;
  }
  if (alone) {
    std::cout << "lockstep " << kLockstepVersion << "\n";
    return kExitDone;
  }
  if (command == "help" || command == "--help" || command == "-h") {
    print_help();
    return kExitDone;
  }
  std::cerr << "lockstep: error: unknown command " << command << "\n" << kUsage;
  // The image may have been started with words of another program's.
  if (const auto output_dir = container_output_dir(process_environment(), std::nullopt)) {
    write_failure_file(*output_dir,
                       "unknown command " + command + "; a container is started with `train`, or with none");
  }
  return kExitBadInput;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    // Images name the program `train`, on PATH, so that SageMaker's `docker run IMAGE train` finds it.
    return run({argv + 1, argv + argc});
  } catch (const lockstep::Error& error) {
    std::cerr << "lockstep: error: " << error.what() << "\n";
    return error.exit_code();
  } catch (const std::exception& error) {
    std::cerr << "lockstep: error: " << error.what() << "\n";
    return lockstep::kExitInternal;
  }
}

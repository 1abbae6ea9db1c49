#include "launch/TrainCommand.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "common/FailureFile.h"
#include "common/File.h"
#include "launch/Job.h"
#include "launch/MpiRun.h"
#include "launch/MpirunMessages.h"
#include "launch/Supervisor.h"
#include "launch/Topology.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

fs::path own_program() { return fs::read_symlink("/proc/self/exe"); }

// The first of these variables that is set, as a number.
std::optional<int> number_in(const Environment& environment, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto found = environment.find(name);
    if (found != environment.end()) return std::atoi(found->second.c_str());
  }
  return std::nullopt;
}

// The rank that mpirun (OMPI_…), or srun through PMIx or PMI, gave this process, or nothing outside of them.
std::optional<int> rank_of_process(const Environment& environment) {
  return number_in(environment, {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"});
}

std::optional<int> ranks_on_host(const Environment& environment) {
  if (!rank_of_process(environment)) return std::nullopt;
  return number_in(environment, {"OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_NTASKS_PER_NODE"});
}

void print_help() {
  std::cout << "usage: lockstep train [JOB.json] [--NAME VALUE ...]\n\n"
               "Trains a program across ranks. The job comes from the container (SageMaker's files and SM_* "
               "variables), a job\n"
               "file and flags; flags win over the file, the file over the container.\n\n"
               "  --channel NAME=DIR        a directory of data; train (or training) is needed, validation and test "
               "are used\n"
               "  --model_dir DIR           where artifacts go\n"
               "  --checkpoint_dir DIR      where checkpoints go, and where a restarted job finds them\n"
               "  --output_dir DIR          where `failure` and data/metrics.jsonl go\n"
               "  --output_data_dir DIR     where metrics.jsonl goes\n"
               "  --base_dir DIR            in place of /opt/ml\n"
               "  --print-config            prints every hyperparameter's value and ends\n\n"
               "Hyperparameters, as flags and as keys of the job file:\n\n";
  for (const HyperparameterDescription& row : describe_hyperparameters()) {
    std::cout << "  --" << row.name << " (" << row.type << "; default " << row.default_value << ")\n      " << row.help
              << "\n";
  }
}

/// The job and where it runs, of this host.
struct Launch {
  Job job;
  Topology topology;
  std::string document;  ///< the job as its ranks read it
};

Launch check(Job job, const Environment& environment) {
  check_job(job);
  const Machine machine = inspect_machine();
  const Topology topology = plan_topology(job, machine, ranks_on_host(environment));
  // What our launcher has planned counts; a bare mpirun has planned nothing.
  job.config.threads = number_in(environment, {"LOCKSTEP_THREADS"}).value_or(topology.hosts.front().threads_per_rank);
  job.config.cores = machine.cores;
  job.config.gpus = topology.hosts.front().gpus;
  job.config.local_rank =
      number_in(environment, {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"}).value_or(-1);
  job.config.announced_ranks = number_in(environment, {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"}).value_or(0);
  const auto terminal = environment.find("LOCKSTEP_TERMINAL");
  job.config.terminal = terminal != environment.end() && terminal->second == "1";
  std::string document = write_job_config(job.config);
  return {.job = std::move(job), .topology = topology, .document = std::move(document)};
}

std::vector<std::string> launch_command(const Launch& launch, const std::vector<std::string>& arguments) {
  std::vector<std::string> rank_command = {own_program().string(), "train"};
  rank_command.insert(rank_command.end(), arguments.begin(), arguments.end());
  return mpirun_command(find_mpirun(), launch.topology,
                        {.root = ::geteuid() == 0,
                         .threads = launch.topology.hosts.front().threads_per_rank,
                         .terminal = ::isatty(STDOUT_FILENO) == 1},
                        rank_command);
}

// SageMaker kills a container 120 seconds after it has asked it to stop.
constexpr double kSecondsToStop = 90;

// Returns the job's exit code. A rank that fails leaves the reason itself; one that was killed cannot.
int run_ranks(const std::vector<std::string>& command, const JobConfig& job) {
  MpirunMessages messages;
  // mpirun hands SIGUSR1 on to the ranks, which then stop in good order; SIGTERM would have it kill them.
  const Ending ending = supervise(command,
                                  [&](const std::string& line) {
                                    for (const std::string& shown : messages.take(line))
                                      std::cerr << shown << std::endl;
                                  },
                                  {.gentle_signal = SIGUSR1, .grace_seconds = kSecondsToStop});
  const auto fail = [&](const std::string& reason, int code) {
    remove_abandoned_staging(job.model_dir);  // a container's model directory is uploaded after a failure too
    if (write_failure_file(job.output_dir, reason)) std::cerr << "lockstep: error: " << reason << std::endl;
    return code;
  };
  if (ending.exit_code == kExitDone) return kExitDone;  // also when a signal came too late to stop it
  const bool failed = ending.exit_code == kExitBadInput || ending.exit_code == kExitRankFailed;
  if (ending.stopped_by && !failed) {
    return fail("the job was stopped by signal " + std::to_string(*ending.stopped_by) + " (" +
                    ::strsignal(*ending.stopped_by) + "); nothing was saved",
                128 + *ending.stopped_by);
  }
  if (messages.killed_rank()) {
    const std::string& rank = *messages.killed_rank();
    return fail(rank + (rank.ends_with("(Killed)") ? "; the machine may have run out of memory" : ""), kExitRankFailed);
  }
  return fail("the ranks ended with exit code " + std::to_string(ending.exit_code), ending.exit_code);
}

// Hands the job over in memory: no file is left behind, and no argument or variable is too long.
[[noreturn]] void become_rank_of(const std::string& document) {
  const int memory = ::memfd_create("lockstep-job", 0);
  if (memory < 0) throw SystemError(with_errno("cannot make a memory file"));
  const std::string path = "/proc/self/fd/" + std::to_string(memory);
  OutputFile file(path);
  file.write(document);
  become_rank({"train", path});
}

}  // namespace

void become_rank(const std::vector<std::string>& arguments) {
  const std::string program = (own_program().parent_path() / "lockstep-rank").string();
  std::vector<char*> words = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  ::execv(program.c_str(), words.data());
  throw SystemError(with_errno("cannot start " + program));
}

int train_command(const std::vector<std::string>& arguments) {
  const Environment environment = process_environment();
  const std::optional<int> rank = rank_of_process(environment);
  if (rank) ::signal(SIGUSR1, SIG_IGN);  // until lockstep-rank listens: it would end this process
  // Where to say why the job is refused: better known with every step.
  fs::path output_dir = container_output_dir(environment, std::nullopt).value_or("");
  const auto fail = [&](const std::string& message, int code) {
    // Every rank meets the same error; one of them says it.
    if (rank.value_or(0) == 0) {
      std::cerr << "lockstep: error: " << message << std::endl;
      if (!output_dir.empty()) write_failure_file(output_dir, message);
    }
    return code;
  };
  try {
    const JobArguments parsed = parse_job_arguments(arguments);
    if (parsed.help) {
      print_help();
      return kExitDone;
    }
    const auto flag = parsed.directories.find("output_dir");
    output_dir = flag != parsed.directories.end() ? flag->second
                                                  : container_output_dir(environment, parsed.base_dir).value_or("");
    Job job = gather_job(read_job_environment(environment, parsed.base_dir), parsed);
    output_dir = job.config.output_dir;
    // Why an earlier job failed is not why this one does.
    if (!rank && !parsed.print_config) remove_ending_files(output_dir);
    const Launch launch = check(std::move(job), environment);
    if (parsed.print_config) {
      std::cout << to_json(launch.job.config.hyperparameters).dump(2) << "\n";
      return kExitDone;
    }
    if (rank) become_rank_of(launch.document);
    for (const std::string& note : launch.job.notes) std::cout << "lockstep: " << note << "\n";
    for (const std::string& warning : launch.topology.warnings) std::cout << "lockstep: " << warning << "\n";
    std::cout.flush();
    if (!launch.job.takes_part) return kExitDone;
    const int code = run_ranks(launch_command(launch, arguments), launch.job.config);
    if (code == kExitDone && launch.job.container) write_success_file(output_dir);
    return code;
  } catch (const Error& error) {
    return fail(error.what(), error.exit_code());
  } catch (const std::exception& error) {
    return fail(error.what(), kExitInternal);
  }
}

int plan_command(const std::vector<std::string>& arguments) {
  const JobArguments parsed = parse_job_arguments(arguments);
  if (parsed.help) {
    print_help();
    return kExitDone;
  }
  const Environment environment = process_environment();
  const Launch launch = check(gather_job(read_job_environment(environment, parsed.base_dir), parsed), environment);
  const JobConfig& config = launch.job.config;
  for (const std::string& warning : launch.topology.warnings) std::cout << warning << "\n";
  for (const HostPlan& host : launch.topology.hosts) {
    std::cout << "host      " << host.name << ": " << host.ranks << (host.ranks == 1 ? " rank" : " ranks")
              << (host.gpus == 0   ? " on the CPU, "
                  : host.gpus == 1 ? " on 1 GPU, "
                                   : " on " + std::to_string(host.gpus) + " GPUs, ")
              << host.threads_per_rank << (host.threads_per_rank == 1 ? " thread" : " threads") << " each"
              << (launch.topology.oversubscribed ? " (more ranks than cores)" : "") << "\n";
  }
  std::cout << "model     " << config.hyperparameters.model << "\n";
  for (const auto& [name, path] : config.channels) std::cout << "channel   " << name << " = " << path.string() << "\n";
  if (config.hyperparameters.data == Data::kSynthetic) {
    std::cout << "data      synthetic\n";
  } else if (config.channels.empty()) {
    std::cout << "channel   none: training needs one named train (or training)\n";
  }
  std::cout << "artifacts " << config.model_dir.string() << "\nresume    "
            << (config.checkpoint_dir.empty() ? "no: the job has no checkpoint directory"
                                              : "from " + config.checkpoint_dir.string())
            << "\noutput    " << config.output_dir.string() << "\nmetrics   "
            << (config.output_data_dir / "metrics.jsonl").string() << "\n";
  for (const std::string& note : launch.job.notes) std::cout << "note      " << note << "\n";
  std::cout << "command   " << shell_quoted(launch_command(launch, arguments)) << "\n";
  return kExitDone;
}

}  // namespace lockstep

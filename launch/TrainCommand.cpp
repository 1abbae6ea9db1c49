#include "launch/TrainCommand.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "common/FailureFile.h"
#include "common/File.h"
#include "launch/Job.h"
#include "launch/JobDocument.h"
#include "launch/JobLauncher.h"
#include "launch/MpiRun.h"
#include "launch/Network.h"
#include "launch/RankPlace.h"
#include "launch/Topology.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMaxJob = 64 << 20;

void print_help() {
  std::cout
      << "usage: lockstep train [JOB.json] [--NAME VALUE ...]\n\n"
         "Trains a program across ranks. The job comes from the container (SageMaker's files and SM_* "
         "variables), a job\n"
         "file and flags; flags win over the file, the file over the container.\n\n"
         "  --hosts A,B,C             a cluster's machines; `lockstep train` is to run on each of them, and they meet\n"
         "  --launcher ssh            with --hosts: it is to run on one of them, and mpirun reaches the others by ssh\n"
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

Launch check(Job job, const std::optional<RankPlace>& place) {
  check_job(job);
  // On a cluster it is this machine's name and addresses that tell which host it is.
  if (!place && std::ranges::count(job.hosts, job.config.host) == 0 && job.takes_part) {
    job.config.host = own_name_among(job.hosts);
  }
  // Two hosts must not have one name in messages, nor where ranks compare their GPUs.
  if (place && job.config.host == "localhost") job.config.host = system_name();
  const Machine machine = inspect_machine();
  const Topology topology = plan_topology(job, machine, place ? place->ranks_on_host : std::nullopt);
  job.config.threads = topology.hosts.front().threads_per_rank;
  job.config.cores = machine.cores;
  job.config.gpus = topology.hosts.front().gpus;
  job.config.terminal = !place && ::isatty(STDOUT_FILENO) == 1;  // mpirun gives a rank a terminal of its own, always
  return {.job = std::move(job), .topology = topology};
}

// How several hosts come together.
void print_meeting(const Job& job) {
  const std::string& leader = job.hosts.front();
  const std::string& here = job.config.host;
  std::cout << "hosts     " << job.hosts.size() << "; this one is " << here
            << ", and the others are taken to be like it\n"
            << "leader    " << leader << (leader == here ? " (this host)" : "") << ", runs the command below";
  if (job.launcher != Launcher::kConnection) {
    std::cout << "; mpirun reaches the others by ssh\n";
    return;
  }
  std::cout << "; the others come to its port " << job.config.hyperparameters.hosts_port << " within "
            << to_json(job.config.hyperparameters).at("hosts_timeout").get<std::string>() << "\ninterface ";
  if (const std::string found = choose_interface(job.network_interface, ""); !found.empty()) {
    std::cout << found << "\n";
    return;
  }
  if (!job.network_interface.empty()) std::cout << job.network_interface << " is not on this host: ";
  std::cout << "the one by which the hosts reach the leader, when they have met\n";
}

[[noreturn]] void become_rank_of(JobConfig config, const RankPlace& place) {
  config.local_rank = place.local_rank;
  config.announced_ranks = place.ranks;
  const JobDocument document(config);
  become_rank({"train", document.own_path()});
}

}  // namespace

void become_rank(const std::vector<std::string>& arguments) {
  const std::string program = (fs::read_symlink("/proc/self/exe").parent_path() / "lockstep-rank").string();
  std::vector<char*> words = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  ::execv(program.c_str(), words.data());
  throw SystemError(with_errno("cannot start " + program));
}

int train_command(const std::vector<std::string>& arguments) {
  const Environment environment = process_environment();
  const std::optional<RankPlace> place = rank_place(environment);
  std::optional<Supervisor> supervisor;
  if (!place) supervisor.emplace();       // first of all: PID 1 has no other way to hear a signal
  if (place) ::signal(SIGUSR1, SIG_IGN);  // until lockstep-rank listens: it would end this process
  // Where to say why the job is refused: better known with every step.
  fs::path output_dir = container_output_dir(environment, std::nullopt).value_or("");
  const auto fail = [&](const std::string& message, int code) {
    // The ranks of a host meet the same error; one of them says it.
    if (!place || (place->local_rank >= 0 ? place->local_rank : place->rank) == 0) {
      std::cerr << "lockstep: error: " << message << std::endl;
      if (!output_dir.empty()) write_failure_file(output_dir, message);
    }
    return code;
  };
  try {
    if (const auto job = environment.find(kJobVariable); place && job != environment.end()) {
      become_rank_of(read_job_config(read_file(job->second, kMaxJob)), *place);
    }
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
    if (!place && !parsed.print_config) remove_ending_files(output_dir);
    const Launch launch = check(std::move(job), place);
    if (parsed.print_config) {
      std::cout << to_json(launch.job.config.hyperparameters).dump(2) << "\n";
      return kExitDone;
    }
    if (place) become_rank_of(launch.job.config, *place);
    for (const std::string& note : launch.job.notes) std::cout << "lockstep: " << note << "\n";
    for (const std::string& warning : launch.topology.warnings) std::cout << "lockstep: " << warning << "\n";
    std::cout.flush();
    if (!launch.job.takes_part) return kExitDone;
    const int code = run_job(*supervisor, launch, arguments);
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
  const Launch launch =
      check(gather_job(read_job_environment(environment, parsed.base_dir), parsed), rank_place(environment));
  const JobConfig& config = launch.job.config;
  if (!launch.job.takes_part) {  // it knows nothing of those that do but their names
    for (const std::string& host : launch.job.hosts) std::cout << "host      " << host << ": trains\n";
    for (const std::string& note : launch.job.notes) std::cout << "note      " << note << "\n";
    return kExitDone;
  }
  for (const std::string& warning : launch.topology.warnings) std::cout << warning << "\n";
  if (launch.job.hosts.size() > 1) print_meeting(launch.job);
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

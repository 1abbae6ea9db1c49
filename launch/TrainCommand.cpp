#include "launch/TrainCommand.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/Error.h"
#include "common/FailureFile.h"
#include "common/File.h"
#include "launch/EarlyStop.h"
#include "launch/Efa.h"
#include "launch/Job.h"
#include "launch/JobDocument.h"
#include "launch/JobLauncher.h"
#include "launch/MpiRun.h"
#include "launch/Network.h"
#include "launch/PatientOutput.h"
#include "launch/Preflight.h"
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
         "  --job_name NAME           for the log; hosts of one job must agree in it\n"
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

bool on_several_hosts(const Job& job, const std::optional<RankPlace>& place) {
  return job.hosts.size() > 1 || (place && place->ranks > place->ranks_on_host.value_or(place->ranks));
}

// Only where NCCL has another host to reach.
void check_efa(Job& job, const std::optional<RankPlace>& place, const Environment& environment) {
  if (job.config.gpus == 0 || !on_several_hosts(job, place)) return;
  const Efa efa = find_efa(environment);
  job.config.efa = efa.present > 0;
  if (efa.obstacle().empty() || job.config.hyperparameters.allow_tcp) return;
  job.absent.push_back(efa.obstacle() + ", or set allow_tcp=true to train over TCP");
}

// What is started must be what the job asks for.
void check_start(const Job& job, const Environment& environment, const std::optional<RankPlace>& place) {
  const std::int64_t asked = job.config.hyperparameters.ranks_per_host;
  if (place && asked > 0 && place->ranks_on_host && *place->ranks_on_host != asked) {
    throw InputError("ranks_per_host=" + std::to_string(asked) + ", and this process is rank " +
                     std::to_string(place->rank) + " of " + std::to_string(*place->ranks_on_host) +
                     " on this host already (PMIX_RANK); start that many ranks with mpirun or srun, or, for a job that "
                     "starts its own ranks: env -u OMPI_COMM_WORLD_RANK -u PMIX_RANK lockstep train …");
  }
  const int tasks = place ? 1 : tasks_without_mpi(environment);
  const bool one_a_host = job.launcher == Launcher::kConnection && std::cmp_equal(job.hosts.size(), tasks);
  if (tasks > 1 && !one_a_host) {
    throw InputError("srun has started " + std::to_string(tasks) +
                     " tasks (SLURM_STEP_NUM_TASKS) that know nothing of each other (PMIX_RANK is not set), and each "
                     "would train the whole job: start them with srun --mpi=pmix, or one on each of " +
                     std::to_string(tasks) + " hosts with --hosts and their names");
  }
}

Launch check(Job job, const Environment& environment, const std::optional<RankPlace>& place) {
  check_job(job);
  check_start(job, environment, place);
  job.scheduled_gpus = gpus_by_scheduler(environment);
  // On a cluster it is this machine's name and addresses that tell which host it is.
  if (!place && std::ranges::count(job.hosts, job.config.host) == 0 && job.takes_part) {
    try {
      job.config.host = own_name_among(job.hosts);
    } catch (const InputError& error) {
      job.absent.emplace_back(error.what());
      job.config.host = system_name();
    }
  }
  // Two hosts must not have one name in messages, nor where ranks compare their GPUs.
  if (place && job.config.host == "localhost") job.config.host = system_name();
  const Machine machine = inspect_machine();
  const Topology topology = plan_topology(job, machine, place ? place->ranks_on_host : std::nullopt);
  job.config.threads = topology.hosts.front().threads_per_rank;
  job.config.cores = machine.cores;
  job.config.gpus = topology.hosts.front().gpus;
  job.config.terminal = !place && ::isatty(STDOUT_FILENO) == 1;  // mpirun gives a rank a terminal of its own, always
  job.absent.insert(job.absent.end(), topology.absent.begin(), topology.absent.end());
  check_efa(job, place, environment);
  return {.job = std::move(job), .topology = topology};
}

// A plan is made where people sit; the job runs elsewhere.
void print_absent(const Job& job) {
  std::vector<std::string> absent = job.absent;
  const std::string& model = job.config.hyperparameters.model;
  if (std::error_code error; model.ends_with(".pt2") && !fs::is_regular_file(model, error)) {
    absent.push_back("the program " + model + " is not a file" + (error ? ": " + error.message() : ""));
  }
  for (const std::string& text : absent)
    std::cout << "WARNING: not here, and `lockstep train` needs it: " << text << "\n";
}

void print_command(const Launch& launch, const std::vector<std::string>& arguments) {
  try {
    std::cout << "command   " << shell_quoted(launch_command(launch, arguments)) << "\n";
  } catch (const InputError& error) {
    std::cout << "command   not known here: " << error.what() << "\n";
  }
}

// How several hosts come together.
void print_meeting(const Job& job) {
  const std::string& leader = job.hosts.front();
  const std::string& here = job.config.host;
  const bool among = std::ranges::count(job.hosts, here) > 0;
  std::cout << "hosts     " << job.hosts.size()
            << (among ? "; this one is " + here + ", and the others are taken to be like it"
                      : "; this machine, " + here + ", is none of them, and they are taken to be like it")
            << "\n"
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

// Until lockstep-rank listens: they would end this process, and must not be lost either.
void keep_stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGUSR1, SIGTERM}) sigaddset(&signals, number);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

[[noreturn]] void become_rank_of(JobConfig config, const RankPlace& place, const Environment& environment) {
  // Where srun or a bare mpirun has started it, nobody else has told NCCL.
  if (config.efa && !environment.contains(kJobVariable)) {
    const Efa efa = find_efa(environment);
    if (place.rank == 0) std::cout << "lockstep: " << efa.description() << std::endl;
    for (const auto& [name, value] : efa.variables) ::setenv(name.c_str(), value.c_str(), 1);
  }
  take_mpi_settings(environment);
  if (!environment.contains(kJobVariable)) find_mpi_settings();
  config.local_rank = place.local_rank;
  config.announced_ranks = place.ranks;
  const JobDocument document(config);
  become_rank({"train", document.own_path()});
}

/// What a launcher has from its first moment to its last.
struct Launching {
  Launching() {
    supervisor.serve(output);
    supervisor.serve(errors);
  }
  Launching(const Launching&) = delete;
  Launching& operator=(const Launching&) = delete;
  ~Launching() {
    early.over();
    supervisor.flush(std::chrono::seconds(30));
  }

  PatientOutput errors{std::cerr, STDERR_FILENO, nullptr};
  PatientOutput output{std::cout, STDOUT_FILENO, &std::cerr};
  Supervisor supervisor;
  EarlyStop early;
};

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
  std::optional<RankPlace> place;
  const auto document = environment.find(kJobVariable);  // of a rank, whose launcher says why the job failed
  const bool launched = document != environment.end();
  std::optional<InputError> doubt;  // said as soon as it is known where
  try {
    place = rank_place(environment);
    if (place && !launched) require_running_launcher(environment);
  } catch (const InputError& error) {
    doubt = error;
    place.reset();
  }
  std::optional<Launching> launching;
  if (place) keep_stop_signals();
  if (!place) launching.emplace();  // first of all: PID 1 has no other way to hear a signal
  // Where to say why the job is refused: better known with every step.
  fs::path output_dir;
  bool cleared = false;  // of how an earlier job failed: that is not why this one does
  const auto know_output_dir = [&](const fs::path& directory) {
    output_dir = directory;
    if (launching) launching->early.set_output_dir(directory, cleared);
  };
  know_output_dir(output_dir_among(arguments).value_or(
      container_output_dir(environment, std::nullopt).value_or(launched ? "" : "output")));
  // The ranks of a host meet the same as a rule, and one of them says it.
  const bool speaks = !place || (place->local_rank >= 0 ? place->local_rank : place->rank) == 0;
  const bool prints = std::ranges::count(arguments, "--print-config") > 0;  // and trains nothing
  const auto fail = [&](const std::string& message, int code) {
    std::error_code ignored;
    if (speaks && !cleared && !launched && !prints) fs::remove(output_dir / "failure", ignored);
    const bool first = !prints && !output_dir.empty() && write_failure_file(output_dir, message);
    if (speaks) std::cerr << "lockstep: error: " << message << std::endl;
    if (!speaks && first) std::cerr << "lockstep: error: rank " << place->rank << ": " << message << std::endl;
    return code;
  };
  try {
    if (place && launched) {
      become_rank_of(read_job_config(read_file(document->second, kMaxJob)), *place, environment);
    }
    const JobArguments parsed = parse_job_arguments(arguments);
    if (parsed.help) {
      print_help();
      return kExitDone;
    }
    if (!parsed.directories.contains("output_dir")) {
      know_output_dir(container_output_dir(environment, parsed.base_dir).value_or(output_dir));
    }
    Job job = gather_job(read_job_environment(environment, parsed.base_dir), parsed);
    know_output_dir(job.config.output_dir);
    if (speaks && !parsed.print_config) {
      remove_ending_files(output_dir);
      cleared = true;
      know_output_dir(output_dir);
    }
    if (doubt) throw InputError(*doubt);
    const Launch launch = check(std::move(job), environment, place);
    if (parsed.print_config) {
      std::cout << to_json(launch.job.config.hyperparameters).dump(2) << "\n";
      return kExitDone;
    }
    require_present(launch.job.absent);
    if (speaks) {
      for (const std::string& note : launch.job.notes) std::cout << "lockstep: " << note << "\n";
      for (const std::string& warning : launch.topology.warnings) std::cout << "lockstep: " << warning << "\n";
      std::cout.flush();
    }
    if (place) become_rank_of(launch.job.config, *place, environment);
    if (!launch.job.takes_part) return kExitDone;
    const int code = run_job(launching->supervisor, launching->early, launch, arguments);
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
  const Launch launch = check(gather_job(read_job_environment(environment, parsed.base_dir), parsed), environment,
                              rank_place(environment));
  const JobConfig& config = launch.job.config;
  if (!launch.job.takes_part) {  // it knows nothing of those that do but their names
    for (const std::string& host : launch.job.hosts) std::cout << "host      " << host << ": trains\n";
    for (const std::string& note : launch.job.notes) std::cout << "note      " << note << "\n";
    return kExitDone;
  }
  print_absent(launch.job);
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
  if (const std::string note = drop_foreign_settings(launch.job.launcher); !note.empty())
    std::cout << "note      " << note << "\n";
  print_command(launch, arguments);
  return kExitDone;
}

}  // namespace lockstep

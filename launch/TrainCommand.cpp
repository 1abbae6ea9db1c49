#include "launch/TrainCommand.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "common/Error.h"
#include "common/FailureFile.h"
#include "common/File.h"
#include "launch/EarlyStop.h"
#include "launch/Efa.h"
#include "launch/Job.h"
#include "launch/JobDocument.h"
#include "launch/JobLauncher.h"
#include "launch/Launch.h"
#include "launch/MpiRun.h"
#include "launch/Network.h"
#include "launch/PatientOutput.h"
#include "launch/Preflight.h"
#include "launch/RankPlace.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMaxJob = 64 << 20;

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

/// Where this process says why the job is refused, and whether it is the one that says it: the ranks of a host meet the
/// same as a rule.
class Refusals {
 public:
  Refusals(const std::optional<RankPlace>& place, bool launched, bool prints, EarlyStop* early)
      : place_(place), launched_(launched), prints_(prints), early_(early) {}

  bool speaks() const { return !place_ || (place_->local_rank >= 0 ? place_->local_rank : place_->rank) == 0; }

  /// The directory is known better with every step.
  void set_directory(const fs::path& directory) {
    directory_ = directory;
    if (early_) early_->set_output_dir(directory_, cleared_);
  }
  /// How an earlier job failed is not why this one does.
  void clear_earlier_failure() {
    if (!speaks()) return;
    remove_ending_files(directory_);
    cleared_ = true;
    set_directory(directory_);
  }
  const fs::path& directory() const { return directory_; }

  int fail(const std::string& message, int code) const {
    std::error_code ignored;
    if (speaks() && !cleared_ && !launched_ && !prints_) fs::remove(directory_ / "failure", ignored);
    const bool writes = !prints_ && !directory_.empty();
    if (!speaks() && writes) await_speaker();
    const bool first = writes && write_failure_file(directory_, message);
    if (speaks()) std::cerr << "lockstep: error: " << message << std::endl;
    if (!speaks() && first) {
      std::cerr << "lockstep: error: rank " << place_->rank << ": " << message << std::endl;
    }
    return code;
  }

 private:
  // As a rule it meets the same, and mpirun ends it once another rank has ended.
  void await_speaker() const {
    constexpr auto kTurn = std::chrono::milliseconds(50);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(3);
    std::error_code ignored;
    while (!fs::exists(directory_ / "failure", ignored) && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(kTurn);
    }
  }

  std::optional<RankPlace> place_;
  bool launched_;  ///< a launcher of ours watches this rank
  bool prints_;    ///< values only: nothing is trained, and nothing written
  EarlyStop* early_;
  fs::path directory_;
  bool cleared_ = false;
};

void print_notes(const Launch& launch) {
  for (const std::string& note : launch.job.notes) std::cout << "lockstep: " << note << "\n";
  for (const std::string& warning : launch.topology.warnings) std::cout << "lockstep: " << warning << "\n";
  std::cout.flush();
}

/// Who this process is, by its environment.
struct Start {
  std::optional<RankPlace> place;   ///< a rank's
  std::optional<InputError> doubt;  ///< why its evidence does not agree; said as soon as it is known where
  fs::path document;                ///< the job of a rank that a launcher of ours has started
};

Start find_start(const Environment& environment) {
  Start start;
  if (const auto found = environment.find(kJobVariable); found != environment.end()) start.document = found->second;
  try {
    start.place = rank_place(environment);
    if (start.place && start.document.empty()) require_running_launcher(environment);
  } catch (const InputError& error) {
    start.doubt = error;
    start.place.reset();
  }
  return start;
}

int run_train(const std::vector<std::string>& arguments, const Environment& environment, const Start& start,
              Launching* launching, Refusals& refusals) {
  const std::optional<RankPlace>& place = start.place;
  if (place && !start.document.empty()) {
    become_rank_of(read_job_config(read_file(start.document, kMaxJob)), *place, environment);
  }
  const JobArguments parsed = parse_job_arguments(arguments);
  if (parsed.help) {
    print_train_help();
    return kExitDone;
  }
  if (!parsed.directories.contains("output_dir")) {
    refusals.set_directory(container_output_dir(environment, parsed.base_dir).value_or(refusals.directory()));
  }
  Job job = gather_job(read_job_environment(environment, parsed.base_dir), parsed);
  refusals.set_directory(job.config.output_dir);
  if (!parsed.print_config) refusals.clear_earlier_failure();
  if (start.doubt) throw InputError(*start.doubt);
  const Launch launch = make_launch(std::move(job), environment, place);
  if (parsed.print_config) {
    std::cout << to_json(launch.job.config.hyperparameters).dump(2) << "\n";
    return kExitDone;
  }
  require_present(launch.job.absent);
  if (refusals.speaks()) print_notes(launch);
  if (place) become_rank_of(launch.job.config, *place, environment);
  if (!launch.job.takes_part) return kExitDone;
  const int code = run_job(launching->supervisor, launching->early, launch, arguments);
  if (code == kExitDone && launch.job.container) write_success_file(refusals.directory());
  return code;
}

}  // namespace

void print_train_help() {
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
  const Start start = find_start(environment);
  std::optional<Launching> launching;
  if (start.place) keep_stop_signals();
  if (!start.place) launching.emplace();  // first of all: PID 1 has no other way to hear a signal
  const bool launched = !start.document.empty();
  const bool prints = std::ranges::count(arguments, "--print-config") > 0;
  Refusals refusals(start.place, launched, prints, launching ? &launching->early : nullptr);
  refusals.set_directory(output_dir_among(arguments).value_or(
      container_output_dir(environment, std::nullopt).value_or(launched ? "" : "output")));
  try {
    return run_train(arguments, environment, start, launching ? &*launching : nullptr, refusals);
  } catch (const Error& error) {
    return refusals.fail(error.what(), error.exit_code());
  } catch (const std::exception& error) {
    return refusals.fail(error.what(), kExitInternal);
  }
}

}  // namespace lockstep

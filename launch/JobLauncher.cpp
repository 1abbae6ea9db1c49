#include "launch/JobLauncher.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/FailureFile.h"
#include "common/File.h"
#include "common/RankStatus.h"
#include "common/Text.h"
#include "common/Version.h"
#include "job/HyperparameterTable.h"
#include "launch/Efa.h"
#include "launch/JobDocument.h"
#include "launch/JobWatch.h"
#include "launch/Leader.h"
#include "launch/Member.h"
#include "launch/MpiRun.h"
#include "launch/MpirunMessages.h"
#include "launch/Network.h"
#include "launch/PipedChannels.h"
#include "launch/Preflight.h"
#include "launch/RemoteStart.h"
#include "launch/Supervisor.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// SageMaker kills a container 120 seconds after it has asked it to stop. All is over within 90: the last of them are
// for what is killed then to go, and for telling the other hosts.
constexpr double kSecondsToStop = 75;
// For ranks that give up waiting for each other, beyond the time that they have for it.
constexpr double kSecondsToSayWhy = 15;

fs::path own_program() { return fs::read_symlink("/proc/self/exe"); }

// mpirun takes the agent's words apart at spaces, and several agents at colons.
std::string remote_start_agent() {
  std::string program = own_program().string();
  const auto blank = [](unsigned char c) { return std::isspace(c) != 0 || c == ':'; };
  if (std::ranges::any_of(program, blank)) program = "/proc/" + std::to_string(::getpid()) + "/exe";
  return program + " remote-start";
}

std::vector<std::string> command_for(const Job& job, const Topology& topology, const MpiRun& mpirun,
                                     const std::string& interfaces, const std::vector<std::string>& arguments) {
  const bool connection = job.launcher == Launcher::kConnection;
  std::vector<std::string> rank_command = {own_program().string(), "train"};
  rank_command.insert(rank_command.end(), arguments.begin(), arguments.end());
  return mpirun_command(
      mpirun, topology,
      {.root = ::geteuid() == 0,
       .own_name = connection && job.config.host == job.hosts.front() ? system_name() : job.hosts.front(),
       .agent = connection ? remote_start_agent() : "",
       .interfaces = interfaces},
      rank_command);
}

// What mpirun knows the hosts of a job by, its own first.
std::vector<std::string> node_names(const Job& job) {
  std::vector<std::string> names = job.hosts;
  if (names.size() == 1 || job.config.host == names.front()) names.front() = system_name();
  return names;
}

// Usually all hosts call theirs the same.
std::string interfaces_of(const std::vector<HostReport>& reports) {
  std::set<std::string> names;
  for (const HostReport& report : reports) names.insert(report.interface_name);
  names.erase("");
  return join(std::vector(names.begin(), names.end()), ",");
}

JobConfig with_files(JobConfig config, const RankStatusFile& status, const RankPages& pages) {
  config.status_file = status.path();
  config.pages_file = pages.path();
  return config;
}

Patience patience_of(const Hyperparameters& hyperparameters) {
  return {.phase = hyperparameters.phase_timeout, .rare = hyperparameters.rare_phase_timeout};
}

/// One host's part in a job.
class JobLauncher {
 public:
  JobLauncher(Supervisor& supervisor, const Launch& launch, const std::vector<std::string>& arguments, MpiRun mpirun)
      : launch_(launch),
        config_(launch.job.config),
        arguments_(arguments),
        pages_(static_cast<std::size_t>(launch.topology.hosts.front().ranks)),
        mpirun_(std::move(mpirun)),
        preflight_(mpirun_, launch.topology.hosts.front(), node_names(launch.job)),
        watch_(config_.host, pages_, patience_of(config_.hyperparameters), config_.output_data_dir / "hang.txt"),
        supervisor_(supervisor) {
    for (const std::string& note : preflight_.notes()) std::cout << "lockstep: " << note << std::endl;
  }
  JobLauncher(const JobLauncher&) = delete;
  JobLauncher& operator=(const JobLauncher&) = delete;
  /// Ends what it has started, whose lines come to this object and whose directories go with it.
  ~JobLauncher() { supervisor_.end(); }

  Outcome run() {
    const std::vector<std::string>& hosts = launch_.job.hosts;
    if (hosts.size() == 1 || launch_.job.launcher == Launcher::kSsh) return run_alone();
    return config_.host == hosts.front() ? lead() : follow();
  }

  /// Whether a rank of this host has said it on standard error.
  bool has_shown(const std::string& reason) const { return !reason.empty() && messages_.error() == reason; }

 private:
  // Before ranks are started, which learn where the files are.
  void take_streams(const std::function<void()>& attend = [] {}) {
    piped_.emplace(supervisor_, launch_.job, attend);
    for (const auto& [channel, directory] : piped_->directories()) config_.channels[channel] = directory;
    document_.emplace(with_files(config_, status_, pages_));
  }

  std::map<std::string, std::string> variables(const std::string& interface_name) const {
    std::map<std::string, std::string> all = {{kJobVariable, document_->path()}};
    // NCCL takes a bare name for the beginning of one. What a user has set for it is meant.
    if (!interface_name.empty() && !std::getenv("NCCL_SOCKET_IFNAME")) all["NCCL_SOCKET_IFNAME"] = "=" + interface_name;
    if (launch_.job.hosts.size() > 1 && config_.gpus > 0) {
      const Efa efa = find_efa(process_environment());
      if (!efa.description().empty()) std::cout << "lockstep: " << efa.description() << std::endl;
      all.insert(efa.variables.begin(), efa.variables.end());
    }
    for (const auto& [name, value] : preflight_.variables()) all[name] = value;
    return all;
  }

  void start_mpirun(const Topology& topology, const std::string& interfaces,
                    const std::map<std::string, std::string>& variables) {
    supervisor_.start(
        command_for(launch_.job, topology, mpirun_, interfaces, arguments_),
        [this](const std::string& line) {
          for (const std::string& shown : messages_.take(line)) std::cerr << shown << std::endl;
        },
        variables, true);
  }

  // mpirun hands SIGUSR1 on to the ranks, which then stop in good order; SIGTERM would have it kill them.
  // One that comes before it has reached all its daemons breaks it, and it ends with 0.
  Stopping stopping() const {
    return {.gentle_signal = SIGUSR1,
            .listens = [this] { return status_.read() >= RankStatus::kListening; },
            .grace_seconds = kSecondsToStop,
            .seconds_to_listen = config_.hyperparameters.hosts_timeout + kSecondsToSayWhy};
  }

  // mpirun starts all ranks: on this host, or on others by ssh.
  Outcome run_alone() {
    if (config_.host != launch_.job.hosts.front()) {
      throw InputError("launcher=ssh: start the job on " + launch_.job.hosts.front() +
                       ", the first of its hosts, not on " + config_.host);
    }
    take_streams();
    start_mpirun(launch_.topology, "", variables(""));
    const bool here = launch_.topology.hosts.size() == 1;  // by ssh, ranks elsewhere watch each other
    const Ending ending = supervise(supervisor_, stopping(), [&] {
      const auto standstill = here ? watch_.look() : std::nullopt;
      if (!standstill) return;
      const std::vector<int> ranks = ranks_to_describe(*standstill, watch_.all());
      const std::string reason = watch_.report(*standstill, watch_.details(ranks));
      say(reason);
      throw StandstillError(reason);
    });
    if (ending.never_listened) never_started();
    return outcome(ending.exit_code, ending.stopped_by, launch_.topology, "");
  }

  Outcome lead() {
    Leader leader(supervisor_, meeting(), report(), [this] { return where(); });
    Outcome ended;
    try {
      std::vector<HostReport> hosts = leader.gather();
      take_streams([&] { leader.attend(); });
      leader.await_ready();
      std::optional<Outcome> outcome;
      while (!(outcome = train_on(leader, hosts))) {
        supervisor_.end();
        hosts = leader.regroup();
        start_again();
      }
      ended = *outcome;
    } catch (const Error& error) {
      ended = {.code = error.exit_code(), .reason = error.what()};
    }
    supervisor_.signal_group(SIGKILL);  // after an error it still runs; the hosts need not wait until all of it is gone
    say(ended.reason);
    leader.dismiss(ended);
    return ended;
  }

  // What `lockstep status` is told.
  nlohmann::json where() const {
    static const std::map<RankStatus, std::string> kStages = {{RankStatus::kStarting, "hosts and ranks are starting"},
                                                              {RankStatus::kListening, "the ranks are running"},
                                                              {RankStatus::kEnded, "the job is done"},
                                                              {RankStatus::kStopped, "the job has stopped on request"}};
    const auto stage = kStages.find(status_.read());
    nlohmann::json progress = nlohmann::json::parse(status_.progress(), nullptr, /*allow_exceptions=*/false);
    if (!progress.is_object()) progress = nullptr;
    return {{"stage", stage == kStages.end() ? "unknown" : stage->second}, {"progress", progress}};
  }

  // Nothing when the ranks are to be started again, on other hosts.
  std::optional<Outcome> train_on(Leader& leader, const std::vector<HostReport>& reports) {
    Topology topology{.hosts = {}, .warnings = {}};
    for (const HostReport& host : reports) topology.hosts.push_back(host.plan);
    require_data_for(topology, config_.hyperparameters);
    auto all = variables(reports.front().interface_name);
    all[kRemoteStartSocket] = leader.socket_name();
    start_mpirun(topology, interfaces_of(reports), all);
    Stopper stopper(supervisor_, stopping());
    Stopping to_regroup = stopping();
    to_regroup.seconds_to_listen_yet = to_regroup.seconds_to_listen;
    Stopper regrouper(supervisor_, std::move(to_regroup));
    try {
      leader.run(stopper, regrouper, watch_);
    } catch (const HostLostError&) {
      if (config_.hyperparameters.min_hosts == 0 || stopper.requested()) throw;
      return std::nullopt;
    }
    if (stopper.never_listened()) never_started();
    if (leader.has_grown() && !stopper.requested() && status_.read() == RankStatus::kStopped) return std::nullopt;
    return outcome(supervisor_.exit_code(), stopper.requested(), topology, leader.failure_of_a_host());
  }

  void start_again() {
    status_.reset();
    watch_.start_again();
    messages_ = {};
    remove_ending_files(config_.output_dir);
  }

  Outcome follow() {
    Member member(supervisor_, meeting(), report());
    member.join();
    try {
      take_streams([&] { member.attend(); });
    } catch (const Error& error) {
      member.fail(error);
      throw;
    }
    member.ready();
    auto all = variables(member.interface_name());
    // As mpirun calls this host. Its system may call itself as the leader's does, and PMIx would take the two for one.
    all["PMIX_HOSTNAME"] = config_.host;
    Outcome ended = member.run({.mpi_directory = mpirun_.directory,
                                .variables = std::move(all),
                                .output_dir = config_.output_dir,
                                .watch = watch_});
    say(ended.reason);
    return ended;
  }

  // Why the job ends, before what has been started is gone: a rank that is in the kernel may take long to go.
  void say(const std::string& reason) const {
    if (reason.empty() || !write_failure_file(config_.output_dir, reason)) return;
    if (!has_shown(reason)) std::cerr << "lockstep: error: " << reason << std::endl;
  }

  Meeting meeting() const {
    return {.hosts = launch_.job.hosts,
            .port = static_cast<int>(config_.hyperparameters.hosts_port),
            .timeout = std::chrono::seconds(std::llround(config_.hyperparameters.hosts_timeout)),
            .fewest = static_cast<int>(config_.hyperparameters.min_hosts),
            .interface_name = launch_.job.network_interface};
  }

  HostReport report() const {
    Digest job;
    job.update(config_.job_name);
    for (const std::string& host : launch_.job.hosts) job.update(host);
    Digest digest;
    nlohmann::json hyperparameters = to_json(config_.hyperparameters);
    for (const HyperparameterRow& row : hyperparameter_table()) {
      if (row.own == Own::kHosts) hyperparameters.erase(row.name);
    }
    digest.update(hyperparameters.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    HostPlan here = launch_.topology.hosts.front();
    here.name = config_.host;
    return {.plan = here,
            .version = kLockstepVersion,
            .mpi = mpirun_.version,
            .job = job.hex(),
            .digest = digest.hex(),
            .secret = launch_.job.secret,
            .system_name = system_name(),
            .interface_name = ""};
  }

  [[noreturn]] void never_started() {
    supervisor_.end();
    throw LaunchError("the ranks have not started within " +
                      format("%g s", config_.hyperparameters.hosts_timeout + kSecondsToSayWhy) + told());
  }

  // What was said of it, as the end of a sentence.
  std::string told() const {
    if (!messages_.error().empty()) return ": " + messages_.error();
    const std::string text = messages_.telling();
    return text.empty() ? "; mpirun has not said why" : "; mpirun says: " + text;
  }

  // A rank that fails leaves the reason itself, on its host; one that was killed cannot.
  Outcome outcome(int code, std::optional<int> stopped_by, const Topology& topology, const std::string& elsewhere) {
    supervisor_.end();
    // SageMaker uploads what is there after a failure too.
    if (code != kExitDone) remove_abandoned_staging(config_.model_dir);
    const RankStatus status = status_.read();
    // Also when a signal came too late, or ended an mpirun that had nothing left to do.
    const bool over = status == RankStatus::kEnded || status == RankStatus::kStopped;
    if (over && !messages_.lost_rank() && read_failure_file(config_.output_dir).empty()) {
      const bool stopped = status == RankStatus::kStopped;
      return {.code = stopped ? static_cast<int>(config_.hyperparameters.exit_code_when_stopped) : kExitDone,
              .reason = ""};
    }
    const bool failed = code == kExitBadInput || code == kExitRankFailed;
    if (stopped_by && !failed) {
      const StopError stopped(*stopped_by);
      return {.code = stopped.exit_code(), .reason = stopped.what()};
    }
    if (const auto lost = messages_.lost_rank()) {
      std::string reason =
          "rank " + std::to_string(lost->rank) + " on " + topology.host_of(lost->rank) + " " + lost->how;
      if (lost->how.ends_with("(Killed)")) reason += "; the machine may have run out of memory";
      if (const std::string place = watch_.last_place(lost->rank); !place.empty()) reason += "; " + place;
      return {.code = kExitRankFailed, .reason = reason};
    }
    const bool of_ranks = code >= kExitInternal && code <= kExitHostLost;
    std::string reason = read_failure_file(config_.output_dir);
    if (reason.empty()) reason = elsewhere;
    if (reason.empty() && of_ranks) reason = messages_.error();  // where output_dir cannot be written
    if (!reason.empty()) return {.code = of_ranks ? code : kExitRankFailed, .reason = reason};
    if (status == RankStatus::kStarting && code != kExitDone) {
      return {.code = kExitNotStarted, .reason = "the ranks could not be started: mpirun " + ended(code) + told()};
    }
    return {.code = kExitRankFailed,
            .reason = "mpirun " + ended(code) + " before the ranks have done the job" + told()};
  }

  static std::string ended(int code) {
    if (code <= kExitSignal || code >= kExitSignal + NSIG) return "has ended with exit code " + std::to_string(code);
    return "was ended by signal " + std::to_string(code - kExitSignal) + " (" + ::strsignal(code - kExitSignal) + ")";
  }

  const Launch& launch_;
  JobConfig config_;
  const std::vector<std::string>& arguments_;
  RankStatusFile status_;
  RankPages pages_;
  std::optional<PipedChannels> piped_{};
  std::optional<JobDocument> document_{};  ///< once its files are there
  MpiRun mpirun_;
  Preflight preflight_;
  MpirunMessages messages_;
  JobWatch watch_;
  Supervisor& supervisor_;
};

}  // namespace

std::vector<std::string> launch_command(const Launch& launch, const std::vector<std::string>& arguments) {
  const bool connection = launch.job.launcher == Launcher::kConnection;
  return command_for(launch.job, launch.topology, find_mpirun(),
                     connection ? choose_interface(launch.job.network_interface, "") : "", arguments);
}

int run_job(Supervisor& supervisor, EarlyStop& early, const Launch& launch, const std::vector<std::string>& arguments) {
  const JobConfig& config = launch.job.config;
  Outcome outcome;
  bool said = false;
  try {
    const std::string note = drop_foreign_settings(launch.job.launcher);
    if (!note.empty()) std::cout << "lockstep: " << note << std::endl;
    MpiRun mpirun = find_mpirun();
    early.over();  // what follows leaves files while it runs
    JobLauncher launcher(supervisor, launch, arguments, std::move(mpirun));
    outcome = launcher.run();
    said = launcher.has_shown(outcome.reason);
  } catch (const Error& error) {
    supervisor.end();
    outcome = {.code = error.exit_code(), .reason = error.what()};
  }
  const bool stopped = outcome.code == config.hyperparameters.exit_code_when_stopped;
  if (outcome.code != kExitDone && !stopped && outcome.reason.empty()) {
    outcome.reason = "the job has ended with exit code " + std::to_string(outcome.code) + ", and nothing says why";
  }
  if (outcome.reason.empty()) return outcome.code;
  said = said || !read_failure_file(config.output_dir).empty();
  write_failure_file(config.output_dir, outcome.reason);
  if (!said) std::cerr << "lockstep: error: " << outcome.reason << std::endl;
  return outcome.code;
}

}  // namespace lockstep

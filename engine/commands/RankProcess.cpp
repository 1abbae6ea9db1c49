#include "engine/commands/RankProcess.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

#include "common/FailureFile.h"
#include "common/Text.h"
#include "engine/commands/MemoryTable.h"
#include "engine/report/Console.h"
#include "engine/report/MetricsFile.h"
#include "engine/report/ReportFile.h"
#include "engine/report/StatusReport.h"
#include "engine/report/TensorboardFile.h"
#include "engine/report/TraceFile.h"
#include "watch/RankState.h"
#include "watch/Standstill.h"

namespace lockstep {

namespace {

// Until whoever watches has put together what all ranks know of a collective that has failed.
constexpr std::chrono::seconds kForTheWatch(4);
constexpr std::chrono::seconds kToAbort(2);

// Whether a launcher of ours watches the ranks, and stops them.
bool is_launched(const JobConfig& config) { return !config.status_file.empty(); }

// When MPI has not started in time.
void give_up(const JobConfig& config) {
  report_failure(config, "a rank on " + config.host + ": MPI has not started within " +
                             format("%g", config.hyperparameters.hosts_timeout) +
                             " s: not all ranks have come, or their hosts cannot reach each other's ports; look for a "
                             "rank that has ended, and for a firewall between the hosts");
  std::_Exit(kExitRankFailed);
}

// For GPUs MPI only carries what the host must know.
MpiMode mode_of(const JobConfig& config, const MpiSession& mpi) {
  return config.gpus > 0 ? MpiMode::kInline
                         : choose_mpi_mode(static_cast<int>(config.cores), mpi.place().ranks_on_host,
                                           static_cast<int>(config.threads));
}

/// The sinks of this program: a new one is added here.
void add_sinks(const JobConfig& config, EventSinks& events) {
  const double seconds = config.hyperparameters.log_every;
  const std::filesystem::path& directory = config.output_data_dir;
  const auto wanted = [&](ReportKind kind) { return std::ranges::count(config.hyperparameters.reports, kind) > 0; };
  auto metrics = std::make_unique<MetricsFile>(directory, seconds);
  events.add(std::make_unique<Console>(stdout, config.terminal, seconds, metrics->path().string()));
  events.add(std::move(metrics));
  events.add(std::make_unique<TraceFile>(directory));
  events.add(std::make_unique<StatusReport>(config.status_file));
  if (wanted(ReportKind::kTensorboard)) {
    const std::string& named = config.hyperparameters.tensorboard_dir;
    events.add(std::make_unique<TensorboardFile>(
        named.empty() ? directory / "tensorboard" : std::filesystem::path(named), seconds));
  }
  if (wanted(ReportKind::kHtml)) events.add(std::make_unique<ReportFile>(directory));
}

}  // namespace

void report_failure(const JobConfig& config, const std::string& message) {
  std::fprintf(stderr, "lockstep: error: %s\n", message.c_str());
  std::fflush(stderr);
  write_failure_file(config.output_dir, message);
}

RankProcess::Pages RankProcess::pages_of(const JobConfig& config) {
  auto launchers = RankPages::open(config.pages_file);
  if (launchers && config.local_rank >= 0 && std::cmp_less(config.local_rank, launchers->size())) {
    return {.all = std::move(*launchers), .own = static_cast<std::size_t>(config.local_rank)};
  }
  return {.all = RankPages(1), .own = 0};
}

RankProcess::RankProcess(const JobConfig& config, const StopSignal& stop)
    : config_(config),
      stop_(stop),
      pages_(pages_of(config)),
      page_(pages_.all[pages_.own]),
      answers_(page_),
      position_(&page_),
      alarm_(std::in_place, std::chrono::duration<double>(config.hyperparameters.hosts_timeout),
             [&config] { give_up(config); }),
      communicator_(mpi_, mode_of(config, mpi_)) {
  if (config.hyperparameters.deterministic) communicator_.sum_in_rank_order();
  communicator_.keep_log_in(page_.host);
  position_.enter(Phase::kStart);
  page_.rank = communicator_.rank();
  page_.pid = ::getpid();
  if (communicator_.rank() == 0) add_sinks(config, events_);
}

void RankProcess::report(RankStatus status) const {
  if (communicator_.rank() == 0) report_status(config_.status_file, status);
}

int RankProcess::run() {
  try {
    meet();
    if (!all_are_here()) return kExitBadInput;
    return train();
  } catch (const std::exception&) {
    return fail(current_failure("training failed", training_began_));
  }
}

void RankProcess::meet() {
  // By ssh, only the ranks of the launcher's own host know of it.
  const std::vector<std::string> launched = communicator_.all_gather(is_launched(config_) ? "1" : "0");
  launched_ = launched.front() == "1";
  if (std::ranges::count(launched, "0") > 0) watch_each_other();
  if (config_.hyperparameters.check_collectives) compare_collectives();
  alarm_.reset();
  report(RankStatus::kListening);
}

void RankProcess::watch_each_other() {
  watchdog_.emplace(
      communicator_, pages_.all, pages_.own, config_.host,
      Patience{.phase = config_.hyperparameters.phase_timeout, .rare = config_.hyperparameters.rare_phase_timeout},
      config_.output_data_dir / "hang.txt", [this](const std::string& reason) { end_standstill(reason); });
  watch_.emplace(
      communicator_, config_.host,
      [this](const PeerWatch::Loss& loss) {
        if (loss.to_tell) std::fprintf(stderr, "lockstep: error: %s\n", loss.reason.c_str());
        write_failure_file(config_.output_dir, loss.reason);
        watchdog_->kill_stopped(kToAbort);
        std::_Exit(loss.exit_code);
      },
      watchdog_->beats());
  if (communicator_.rank() > 0 || watch_->unwatched().empty()) return;
  events_.note({.text = std::to_string(watch_->unwatched().size()) +
                        " ranks cannot connect to rank 0 by TCP; if one of them is killed, the others may wait for it "
                        "for ever",
                .warning = true});
}

// In the watch's thread, while others may be in MPI: that they wait there is why it is called.
void RankProcess::end_standstill(const std::string& reason) {
  report_failure(config_, reason);
  watch_->tell(reason, kExitRankFailed);
  // What has started the ranks ends the stopped ones, too, of every host, and this rank's code is the job's.
  const Alarm late(kToAbort, [this] {
    watchdog_->kill_stopped({});
    std::_Exit(kExitRankFailed);
  });
  communicator_.abort(kExitRankFailed);
}

std::string RankProcess::where() const { return " (" + place_of(state_of(page_, config_.host)) + ")"; }

void RankProcess::compare_collectives() {
  std::vector<std::string> names = communicator_.all_gather(config_.host);
  for (std::size_t rank = 0; rank < names.size(); ++rank)
    names[rank] = "rank " + std::to_string(rank) + " on " + names[rank];
  communicator_.compare_by({.by = communicator_, .names = std::move(names), .where = [this] { return where(); }});
}

// Else each rank would train the whole job and write the same artifacts.
bool RankProcess::all_are_here() {
  if (config_.announced_ranks == 0 || config_.announced_ranks == communicator_.size()) return true;
  report_failure(config_, std::to_string(config_.announced_ranks) + " ranks were started, but MPI sees " +
                              std::to_string(communicator_.size()) +
                              ": start them with the mpirun of the OpenMPI that lockstep-rank links, or with "
                              "srun --mpi=pmix");
  return false;
}

int RankProcess::train() {
  device_.emplace(config_, mpi_.place(), communicator_, page_.device, events_);
  if (Communicator* const own = device_->own_communicator(); own && communicator_.comparison()) {
    own->compare_by(*communicator_.comparison());
  }
  session_.emplace(config_, device_->context(position_), stop_.token(), events_);
  session_->prepare();
  training_began_ = true;
  const SessionOutcome outcome = session_->run();
  const int code = conclude(outcome);
  communicator_.barrier();
  position_.enter(Phase::kDone);
  if (outcome.kept) report(outcome.stopped ? RankStatus::kStopped : RankStatus::kEnded);
  return code;
}

// Says why where nothing is kept and nobody else can. Returns the exit code.
int RankProcess::conclude(const SessionOutcome& outcome) {
  if (outcome.kept) {
    return outcome.stopped && !launched_ ? static_cast<int>(config_.hyperparameters.exit_code_when_stopped) : kExitDone;
  }
  // A launcher of ours knows which signal it was.
  if (!is_launched(config_)) {
    write_failure_file(config_.output_dir, "the job was asked to stop after step " + with_commas(outcome.steps) +
                                               ", and nothing was saved: it has no checkpoint directory, or could "
                                               "not write there, and export=none");
  }
  return kExitNotSaved;
}

int RankProcess::fail(const Failure& failure) {
  if (failure.reach == Reach::kAllRanks) {
    // Said once, and written on every host.
    communicator_.rank() == 0 ? report_failure(config_, failure.text)
                              : void(write_failure_file(config_.output_dir, failure.text));
    communicator_.barrier();
    return failure.code;
  }
  // What has befallen the peer says more than what MPI or NCCL says of it.
  if (failure.reach == Reach::kPeer) {
    position_.collective_failed(failure.text);
    std::this_thread::sleep_for(kForTheWatch);
  }
  return end_all(failure.out_of_memory ? failure.text + memory() : failure.text, failure.code);
}

// Whoever asks has little of it.
std::string RankProcess::memory() const {
  try {
    const auto device = device_ ? &device_->context(position_).device : nullptr;
    return memory_table({.by_training = session_ ? session_->memory() : std::nullopt,
                         .most = device ? device->peak_memory() : 0,
                         .device = device ? device->description() : config_.host,
                         .on_gpu = config_.gpus > 0,
                         .ranks_on_host = mpi_.place().ranks_on_host,
                         .samples_at_once = config_.hyperparameters.micro_batch_size});
  } catch (const std::exception&) {
    return "";
  }
}

int RankProcess::end_all(const std::string& why, int code) {
  const std::string text = "rank " + std::to_string(communicator_.rank()) + " on " + config_.host + ": " + why;
  report_failure(config_, text);
  if (watch_) watch_->tell(text, code);
  communicator_.abort(code);
}

}  // namespace lockstep

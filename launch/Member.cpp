#include "launch/Member.h"

#include <signal.h>

#include <algorithm>
#include <iostream>

#include "common/Error.h"
#include "common/FailureFile.h"
#include "common/Text.h"
#include "launch/Network.h"
#include "launch/RemoteStart.h"

namespace lockstep {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kMembersTurn(100);
constexpr milliseconds kBetweenAttempts(500);
constexpr seconds kToAnswer(60);  // it may wait for its name service
constexpr seconds kToBeHeard(5);

}  // namespace

Member::Member(Supervisor& supervisor, Meeting meeting, HostReport own)
    : supervisor_(supervisor), meeting_(std::move(meeting)), own_(std::move(own)) {}

void Member::join() {
  const std::string& leader = meeting_.hosts.front();
  const std::string place = leader + " at port " + std::to_string(meeting_.port);
  std::cout << "lockstep: " << own_.plan.name << " looks for its leader, " << place << std::endl;
  std::string last = "nobody answers there";
  bool refused = false;
  for (const auto deadline = Clock::now() + meeting_.timeout; Clock::now() < deadline;) {
    for (const int signal : supervisor_.wait({}, kBetweenAttempts)) throw StopError(signal);
    auto socket = connect_to_port(leader, meeting_.port);
    if (!socket) continue;
    connection_.emplace(std::move(*socket), "the leader " + leader);
    own_.interface_name = choose_interface(meeting_.interface_name, connection_->own_address());
    connection_->send(own_.to_json());
    const auto said = answer(std::min(deadline, Clock::now() + kToAnswer));
    const std::string type = said ? field<std::string>(*said, "type", "") : "";
    if (type == "welcome") return;
    if (type != "refused") {
      if (!refused) last = "what answers there does not behave as a leader";
      continue;
    }
    refused = true;
    last = field<std::string>(*said, "reason", "");
    if (!field(*said, "again", true)) {
      throw InputError(format("the leader %s refuses this host: %s", leader.c_str(), last.c_str()));
    }
  }
  throw HostLostError(own_.plan.name + " could not join its leader, " + place + ", within " +
                      std::to_string(meeting_.timeout.count()) + " s: " + last);
}

std::optional<nlohmann::json> Member::answer(Clock::time_point deadline) {
  while (!connection_->closed() && Clock::now() < deadline) {
    const int file = connection_->file();
    for (const int signal : supervisor_.wait({&file, 1}, kMembersTurn)) throw StopError(signal);
    if (auto message = connection_->wait_until(Clock::now())) return message;
  }
  return std::nullopt;
}

void Member::lose_leader() const {
  throw HostLostError("the leader " + meeting_.hosts.front() +
                      " is lost: the connection to its launcher has broken off");
}

void Member::attend() {
  for (const auto& message : connection_->receive()) {
    if (field<std::string>(message, "type", "") != "end") continue;
    throw CollectiveError(failure_code(message), field<std::string>(message, "reason", ""));
  }
  if (connection_->closed()) lose_leader();
}

void Member::fail(const Error& error) {
  connection_->send({{"type", "failed"}, {"code", error.exit_code()}, {"reason", error.what()}});
  connection_->wait_until(Clock::now() + kToBeHeard);  // it ends the job, and says so
}

Outcome Member::run(const Daemon& daemon) {
  bool stopping = false;
  bool runs = false;
  for (;;) {
    const int file = connection_->file();
    for (const int signal : supervisor_.wait({&file, 1}, kMembersTurn)) {
      connection_->send({{"type", "stop"}, {"signal", signal}, {"now", stopping}});
      stopping = true;
    }
    for (const auto& message : connection_->receive()) {
      const std::string type = field<std::string>(message, "type", "");
      if (type == "start") start(message, daemon);
      if (type == "describe") describe(message, daemon.watch);
      if (type == "again") {
        supervisor_.end();
        runs = false;
        messages_ = {};
        remove_ending_files(daemon.output_dir);
        daemon.watch.start_again();
        connection_->send({{"type", "ready"}});
      }
      if (type == "end") {
        supervisor_.signal_group(SIGKILL);
        return {.code = field(message, "code", static_cast<int>(kExitInternal)),
                .reason = field<std::string>(message, "reason", "")};
      }
    }
    if (connection_->closed()) lose_leader();
    if (supervisor_.running() && Clock::now() >= next_states_) tell_states(daemon.watch);
    if (runs && !supervisor_.running()) report_end(daemon);
    runs = supervisor_.running();
  }
}

void Member::tell_states(const JobWatch& watch) {
  constexpr seconds kBetween(1);
  constexpr std::size_t kAtOnce = 64;  // a message has its limit
  next_states_ = Clock::now() + kBetween;
  const std::vector<RankState> own = watch.own();
  for (std::size_t first = 0; first < own.size(); first += kAtOnce) {
    connection_->send(states_message({own.begin() + first, own.begin() + std::min(own.size(), first + kAtOnce)}));
  }
}

void Member::describe(const nlohmann::json& message, const JobWatch& watch) {
  constexpr std::size_t kLongest = 20'000;
  for (const RankDetails& each : watch.details(field(message, "ranks", std::vector<int>()))) {
    connection_->send({{"type", "details"},
                       {"rank", each.rank},
                       {"stacks", each.stacks.substr(0, kLongest)},
                       {"collectives", each.collectives.substr(0, kLongest)}});
  }
}

void Member::start(const nlohmann::json& message, const Daemon& daemon) {
  try {
    const auto words = field(message, "words", std::vector<std::string>());
    supervisor_.start(
        daemon_command(words, daemon.mpi_directory),
        [this](const std::string& line) {
          for (const std::string& shown : messages_.take(line)) std::cerr << shown << std::endl;
        },
        daemon.variables, true);
  } catch (const Error& error) {
    connection_->send(
        {{"type", "ended"}, {"code", error.exit_code()}, {"failure", own_.plan.name + ": " + error.what()}});
  }
}

void Member::report_end(const Daemon& daemon) {
  supervisor_.end();
  tell_states(daemon.watch);  // where those were that have ended
  std::string failure = read_failure_file(daemon.output_dir);
  if (failure.empty()) failure = messages_.error();
  if (const std::string told = messages_.telling(); failure.empty() && supervisor_.exit_code() != 0 && !told.empty()) {
    failure = own_.plan.name + ": OpenMPI's daemon says: " + told;
  }
  connection_->send({{"type", "ended"}, {"code", supervisor_.exit_code()}, {"failure", failure}});
}

}  // namespace lockstep

#include "launch/Leader.h"

#include <signal.h>

#include <algorithm>
#include <iostream>
#include <iterator>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "launch/Network.h"

namespace lockstep {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kLeadersTurn(100);
constexpr seconds kToIntroduce(5);         // who connects must say by then who it is
constexpr std::size_t kStrangers = 64;     // at once, beside the hosts
constexpr seconds kToEnd(5);               // for daemons, after mpirun
constexpr milliseconds kToDescribe(1500);  // for hosts, where ranks stand still
constexpr seconds kToEndDaemons(15);       // for members, before ranks are started again
constexpr seconds kToLeave(2);             // for hosts, after the job
constexpr seconds kForLateHosts(2);        // that are to hear of a job that has failed before they came
constexpr seconds kBetweenNotes(30);

void say(const std::string& text) { std::cout << "lockstep: " << text << std::endl; }

}  // namespace

/// Somebody who has connected and not yet been admitted.
struct Leader::Newcomer {
  Connection connection;
  Clock::time_point deadline;
};

/// Another host's launcher.
struct Leader::Member {
  std::string host;
  Connection connection;
  bool daemon_runs = false;
  std::string failure{};
  bool ready = false;  ///< to start; to start again, once it has ended what it had started
  bool lost = false;
};

/// `lockstep remote-start`, which mpirun waits for as it would for ssh.
struct Leader::Agent {
  Connection connection;
  std::string host{};
};

Leader::Leader(Supervisor& supervisor, Meeting meeting, HostReport own, Status status)
    : supervisor_(supervisor),
      meeting_(std::move(meeting)),
      check_in_(meeting_.hosts, std::move(own)),
      status_(std::move(status)),
      listener_(listen_on_port(meeting_.port)),
      socket_name_("lockstep-" + random_name()),
      local_listener_(listen_locally(socket_name_)) {}

Leader::~Leader() = default;

std::vector<int> Leader::wait() {
  std::vector<int> files = {local_listener_.get()};
  if (listener_) files.push_back(listener_.get());
  for (const auto& newcomer : newcomers_) files.push_back(newcomer->connection.file());
  for (const auto& member : members_) files.push_back(member->connection.file());
  for (const auto& agent : agents_) files.push_back(agent->connection.file());
  return supervisor_.wait(files, kLeadersTurn);
}

std::vector<HostReport> Leader::gather() {
  const auto start = Clock::now();
  auto next_note = start + kBetweenNotes;
  const auto waiting = [&] {
    return join(check_in_.missing(), ", ") + " (" + std::to_string(members_.size() + 1) + " of " +
           std::to_string(meeting_.hosts.size()) + " hosts are here)";
  };
  say(meeting_.hosts.front() + " leads " + std::to_string(meeting_.hosts.size()) + " hosts; port " +
      std::to_string(meeting_.port));
  while (!check_in_.complete()) {
    for (const int signal : wait()) throw StopError(signal);
    hear_newcomers();
    hear_members();
    std::erase_if(members_, [](const auto& member) { return member->lost; });
    if (stop_) throw StopError(*stop_);
    const auto now = Clock::now();
    if (now >= start + meeting_.timeout) {
      std::string reason =
          "not all hosts have come within " + std::to_string(meeting_.timeout.count()) + " s; missing: " + waiting();
      for (const auto& [host, refusal] : check_in_.refusals()) reason += "; " + refusal;
      throw HostLostError(reason);
    }
    if (now >= next_note) {
      say("waiting for " + waiting());
      next_note = now + kBetweenNotes;
    }
  }
  gathered_ = meeting_.fewest == 0;
  newcomers_.clear();
  return check_in_.reports();
}

// What ran on a host that is lost is no longer ours to end.
void Leader::end_daemons() {
  agents_.clear();
  for (const auto& member : members_) {
    member->ready = false;
    member->connection.send({{"type", "again"}});
  }
  const auto waits = [](const auto& member) { return !member->ready && !member->connection.closed(); };
  for (const auto end = Clock::now() + kToEndDaemons; std::ranges::any_of(members_, waits) && Clock::now() < end;) {
    for (const int signal : wait()) throw StopError(signal);
    hear_members();
  }
  for (const auto& member : members_) {
    if (!member->ready) lose(*member);
    member->daemon_runs = false;
    member->failure.clear();
  }
  std::erase_if(members_, [](const auto& member) { return member->lost; });
}

std::vector<HostReport> Leader::regroup() {
  runs_ = false;
  grown_ = false;
  end_daemons();
  const auto deadline = Clock::now() + meeting_.timeout;
  while (std::cmp_less(members_.size() + 1, meeting_.fewest)) {
    for (const int signal : wait()) throw StopError(signal);
    hear_newcomers();
    hear_members();
    std::erase_if(members_, [](const auto& member) { return member->lost; });
    if (stop_) throw StopError(*stop_);
    if (Clock::now() < deadline) continue;
    throw HostLostError("hosts are lost, and none has come in their place within " +
                        std::to_string(meeting_.timeout.count()) + " s: " + join(check_in_.missing(), ", ") +
                        "; min_hosts=" + std::to_string(meeting_.fewest));
  }
  say("goes on with " + std::to_string(members_.size() + 1) + " of " + std::to_string(meeting_.hosts.size()) +
      " hosts");
  return check_in_.reports();
}

void Leader::lose(Member& member) {
  if (member.lost) return;
  member.lost = true;
  check_in_.forget(member.host);
  say("host " + member.host + " is lost");
}

void Leader::hear_newcomers() {
  while (auto accepted = accept_on(listener_)) {
    if (newcomers_.size() >= kStrangers + meeting_.hosts.size()) newcomers_.erase(newcomers_.begin());
    newcomers_.push_back(std::make_unique<Newcomer>(
        Newcomer{Connection(std::move(accepted->socket), accepted->address), Clock::now() + kToIntroduce}));
  }
  std::erase_if(newcomers_, [&](const auto& newcomer) { return hear(*newcomer); });
}

// Returns whether it is done with: admitted, sent away or gone.
bool Leader::hear(Newcomer& newcomer) {
  const auto messages = newcomer.connection.receive();
  if (messages.empty()) return newcomer.connection.closed() || Clock::now() >= newcomer.deadline;
  if (field<std::string>(messages.front(), "type", "") == "status") {
    answer(newcomer, messages.front());
    return true;
  }
  if (gathered_) return true;
  const auto report = HostReport::from_json(messages.front());
  if (!report) return true;
  const Admission admission = check_in_.admit(*report, newcomer.connection.peer(), addresses_of);
  if (admission.kind == Admission::Kind::kAdmitted) {
    newcomer.connection.send({{"type", "welcome"}});
    if (members_.empty())
      check_in_.set_interface(choose_interface(meeting_.interface_name, newcomer.connection.own_address()));
    members_.push_back(std::make_unique<Member>(Member{report->plan.name, std::move(newcomer.connection)}));
    say(report->plan.name + " is here");
    grown_ |= runs_;
    return true;
  }
  newcomer.connection.send(
      {{"type", "refused"}, {"reason", admission.refusal}, {"again", admission.kind == Admission::Kind::kLater}});
  if (admission.kind == Admission::Kind::kOtherJob && meeting_.fewest == 0) throw InputError(admission.refusal);
  return true;
}

void Leader::answer(Newcomer& newcomer, const nlohmann::json& question) {
  if (!check_in_.may_ask(field<std::string>(question, "secret", ""), newcomer.connection.peer(), addresses_of)) {
    newcomer.connection.send({{"type", "refused"},
                              {"reason", "the job says where it is to its hosts and to whoever has its secret"},
                              {"again", false}});
    return;
  }
  nlohmann::json status = status_();
  status["type"] = "status";
  status["missing"] = check_in_.missing();
  newcomer.connection.send(status);
}

Leader::Member* Leader::member(const std::string& host) {
  const auto found = std::ranges::find_if(members_, [&](const auto& member) { return member->host == host; });
  return found == members_.end() ? nullptr : found->get();
}

bool Leader::daemons_run() const {
  return std::ranges::any_of(members_, [](const auto& member) { return member->daemon_runs; });
}

void Leader::hear_members() {
  for (const auto& member : members_) {
    for (const auto& message : member->connection.receive()) {
      const std::string type = field<std::string>(message, "type", "");
      if (type == "stop") stop_ = field(message, "signal", 15);
      if (type == "stop" && field(message, "now", false)) stop_now_ = true;
      if (type == "states" && watch_ != nullptr) watch_->heard(states_in(message));
      if (type == "details") {
        details_.push_back({.rank = field(message, "rank", 0),
                            .stacks = field<std::string>(message, "stacks", ""),
                            .collectives = field<std::string>(message, "collectives", "")});
      }
      member->ready |= type == "ready";
      if (type == "failed") {
        throw CollectiveError(failure_code(message), member->host + ": " + field<std::string>(message, "reason", ""));
      }
      if (type != "ended") continue;
      member->daemon_runs = false;
      member->failure = field<std::string>(message, "failure", "");
      for (const auto& agent : agents_) {
        if (agent->host == member->host) agent->connection.send({{"code", field(message, "code", 1)}});
      }
    }
    if (!member->connection.closed()) continue;
    const bool news = !member->lost;
    if (meeting_.fewest > 0) lose(*member);
    if (news && (meeting_.fewest == 0 || runs_)) {
      throw HostLostError("host " + member->host + " is lost: the connection to its launcher has broken off");
    }
  }
}

void Leader::attend() {
  hear_members();
  if (stop_) throw StopError(*stop_);
}

void Leader::await_ready() {
  while (!std::ranges::all_of(members_, [](const auto& member) { return member->ready; })) {
    for (const int signal : wait()) throw StopError(signal);
    attend();
  }
}

void Leader::hear_agents() {
  while (auto accepted = accept_on(local_listener_)) {
    if (!is_own(accepted->socket)) continue;
    agents_.push_back(std::make_unique<Agent>(Agent{Connection(std::move(accepted->socket), "lockstep remote-start")}));
  }
  for (const auto& agent : agents_) {
    for (const auto& message : agent->connection.receive()) {
      agent->host = field<std::string>(message, "host", "");
      Member* const host = member(agent->host);
      if (!host)
        throw InternalError("mpirun starts a daemon on " + in_quotes(agent->host) + ", which is no other host");
      host->connection.send(message);
      host->daemon_runs = true;
    }
  }
  std::erase_if(agents_, [](const auto& agent) { return agent->connection.closed(); });
}

// Says all that can be learnt of it in a short time.
void Leader::end_standstill(const Standstill& standstill) {
  const std::vector<int> ranks = ranks_to_describe(standstill, watch_->all());
  for (const auto& member : members_) member->connection.send({{"type", "describe"}, {"ranks", ranks}});
  std::vector<RankDetails> details = watch_->details(ranks);
  for (const auto end = Clock::now() + kToDescribe;
       details.size() + details_.size() < ranks.size() && Clock::now() < end;) {
    wait();
    try {
      hear_members();
    } catch (const HostLostError&) {  // it has nothing to say, then
      break;
    }
  }
  std::ranges::move(details_, std::back_inserter(details));
  std::ranges::sort(details, {}, &RankDetails::rank);
  throw StandstillError(watch_->report(standstill, details));
}

void Leader::run(Stopper& stopper, Stopper& regrouper, JobWatch& watch) {
  watch_ = &watch;
  runs_ = true;
  Clock::time_point end;
  while (supervisor_.running() || (daemons_run() && Clock::now() < end)) {
    if (supervisor_.running()) end = Clock::now() + kToEnd;
    for (const int signal : wait()) stopper.signalled(signal);
    hear_newcomers();
    hear_agents();
    if (grown_) {
      regrouper.request(SIGUSR1);
      regrouper.drive();
    }
    hear_members();
    if (supervisor_.running()) {
      if (const auto standstill = watch.look()) end_standstill(*standstill);
    }
    if (stop_) stopper.request(*stop_);
    if (std::exchange(stop_now_, false)) stopper.signalled(*stop_);
    stopper.drive();
  }
  hear_members();
}

std::string Leader::failure_of_a_host() const {
  const auto found = std::ranges::find_if(members_, [](const auto& member) { return !member->failure.empty(); });
  return found == members_.end() ? "" : (*found)->failure;
}

void Leader::dismiss(const Outcome& outcome) noexcept {
  try {
    std::size_t told = 0;
    const auto tell = [&] {
      for (; told < members_.size(); ++told) {
        members_[told]->connection.send({{"type", "end"}, {"code", outcome.code}, {"reason", outcome.reason}});
      }
    };
    tell();
    // They would look for a leader that is gone until hosts_timeout. Of a signal they hear themselves.
    const bool failed = outcome.code != kExitDone && outcome.code < kExitSignal;
    const auto end = Clock::now() + kForLateHosts;
    while (failed && !check_in_.complete() && Clock::now() < end && wait().empty()) {
      hear_newcomers();
      tell();
    }
    const auto deadline = Clock::now() + kToLeave;
    for (const auto& member : members_) {
      while (!member->connection.closed() && Clock::now() < deadline) {
        wait();
        member->connection.receive();
      }
    }
  } catch (const std::exception&) {  // a message that cannot be made: the connections close, which ends the hosts
  }
  members_.clear();
}

}  // namespace lockstep

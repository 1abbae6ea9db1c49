// Which hosts of a job have come.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "launch/Topology.h"

namespace lockstep {

/// What a host says of itself when it meets the leader.
struct HostReport {
  HostPlan plan;               ///< its name among the job's hosts, and its ranks
  std::string version;         ///< of Lockstep
  std::string mpi;             ///< of OpenMPI
  std::string job;             ///< digest of the job's name and hosts
  std::string digest;          ///< of its hyperparameters
  std::string secret;          ///< of the job, or ""
  std::string system_name;     ///< what the host's system calls it
  std::string interface_name;  ///< of the network on which it reaches the other hosts

  nlohmann::json to_json() const;
  /// Nothing for what is no report.
  static std::optional<HostReport> from_json(const nlohmann::json& json);
};

/// What becomes of a host that reports.
struct Admission {
  enum class Kind {
    kAdmitted,
    kLater,     ///< it may try again: its name may not resolve yet
    kNever,     ///< it is no host of this job; the job goes on without noticing
    kOtherJob,  ///< it is a host of this job that was given another one: a reason to end it
  };
  Kind kind = Kind::kAdmitted;
  std::string refusal{};  ///< why, unless admitted
};

/// The leader's list. A value: it knows nothing of sockets.
class CheckIn {
 public:
  using Resolve = std::function<std::vector<std::string>(const std::string& host)>;

  /// `hosts`: all of the job's, in order; `own`: the leader's report.
  CheckIn(std::vector<std::string> hosts, HostReport own);

  /// `from`: where the report comes from; `resolve`: the addresses of a host's name, asked when nothing else speaks
  /// against the report.
  Admission admit(const HostReport& report, const std::string& from, const Resolve& resolve);

  /// Whether somebody may know where the job is: whoever shows the job's secret, or where it has none, this host and
  /// the job's others.
  bool may_ask(const std::string& secret, const std::string& from, const Resolve& resolve) const;

  /// Of the leader: known when the first host has come.
  void set_interface(const std::string& name) { come_.front().interface_name = name; }

  /// A host that is lost: another launcher may come in its name.
  void forget(const std::string& host);

  bool complete() const { return missing().empty(); }
  std::vector<std::string> missing() const;
  /// Why hosts that are missing were refused the last time, by their names.
  const std::map<std::string, std::string>& refusals() const { return refusals_; }
  /// In the order of hosts; those that have come.
  std::vector<HostReport> reports() const;

 private:
  Admission judge(const HostReport& report, const std::string& from, const Resolve& resolve) const;

  std::vector<std::string> hosts_;
  HostReport own_;
  std::vector<HostReport> come_;
  std::map<std::string, std::string> refusals_;
};

}  // namespace lockstep

// Which hosts of a job have come.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lockstep {

/// What a host says of itself when it meets the leader.
struct HostReport {
  std::string host;     ///< its name among the job's hosts
  int ranks = 1;        ///< that it has room for
  int gpus = 0;         ///< that they compute on
  int threads = 1;      ///< of each rank
  std::string version;  ///< of Lockstep
  std::string digest;   ///< of what must be the same on all hosts: their order, the hyperparameters
  std::string secret;   ///< LOCKSTEP_JOB_SECRET, or ""

  nlohmann::json to_json() const;
  /// Throws InputError for what is no report.
  static HostReport from_json(const nlohmann::json& json);
};

/// The leader's list. A value: it knows nothing of sockets.
class CheckIn {
 public:
  /// `hosts`: all of the job's, in order; `own`: the leader's report.
  CheckIn(std::vector<std::string> hosts, HostReport own);

  /// Why this host cannot take part, or "" when it is admitted. `addresses`: what its name resolves to; `from`: where
  /// it comes from. A stranger's report changes nothing; one of a listed host that is unlike the leader's is a reason
  /// to end the job: `fatal` is set.
  std::string admit(const HostReport& report, const std::vector<std::string>& addresses, const std::string& from,
                    bool& fatal);

  bool complete() const { return missing().empty(); }
  std::vector<std::string> missing() const;
  /// In the order of hosts; those that have come.
  std::vector<HostReport> reports() const;

 private:
  std::vector<std::string> hosts_;
  HostReport own_;
  std::vector<HostReport> come_;
};

}  // namespace lockstep

#include "launch/CheckIn.h"

#include <algorithm>

#include "common/Error.h"
#include "common/Text.h"

namespace lockstep {

using nlohmann::json;

json HostReport::to_json() const {
  return {{"host", host},       {"ranks", ranks},   {"gpus", gpus},    {"threads", threads},
          {"version", version}, {"digest", digest}, {"secret", secret}};
}

HostReport HostReport::from_json(const json& json) {
  try {
    HostReport report{.host = json.at("host"),
                      .ranks = json.at("ranks"),
                      .gpus = json.at("gpus"),
                      .threads = json.at("threads"),
                      .version = json.at("version"),
                      .digest = json.at("digest"),
                      .secret = json.at("secret")};
    constexpr int kMost = 4096;
    if (report.ranks < 1 || report.ranks > kMost || report.threads < 1 || report.threads > kMost || report.gpus < 0 ||
        report.gpus > kMost) {
      throw InputError("a host's report has impossible numbers");
    }
    return report;
  } catch (const json::exception& error) {
    throw InputError(std::string("a host's report is broken: ") + error.what());
  }
}

CheckIn::CheckIn(std::vector<std::string> hosts, HostReport own) : hosts_(std::move(hosts)), own_(std::move(own)) {
  come_.push_back(own_);
}

std::string CheckIn::admit(const HostReport& report, const std::vector<std::string>& addresses, const std::string& from,
                           bool& fatal) {
  fatal = false;
  if (std::ranges::count(hosts_, report.host) == 0) return report.host + " is not a host of this job";
  if (std::ranges::count(addresses, from) == 0) {
    return from + " says that it is " + report.host + ", which resolves to " +
           (addresses.empty() ? "nothing" : join(addresses, ", "));
  }
  if (report.secret != own_.secret) return report.host + " has another LOCKSTEP_JOB_SECRET";
  if (std::ranges::count(come_, report.host, &HostReport::host) > 0) return report.host + " has come already";
  fatal = true;
  if (report.version != own_.version) {
    return report.host + " runs Lockstep " + report.version + ", and " + own_.host + " " + own_.version;
  }
  if (report.digest != own_.digest) {
    return report.host + " has another list of hosts or other hyperparameters than " + own_.host +
           "; give all hosts the same job";
  }
  if ((report.gpus > 0) != (own_.gpus > 0)) {
    const std::string& without = report.gpus > 0 ? own_.host : report.host;
    return without + " has no GPU, and other hosts compute on theirs; set device=cpu, or leave that host out";
  }
  fatal = false;
  come_.push_back(report);
  return "";
}

std::vector<std::string> CheckIn::missing() const {
  std::vector<std::string> names;
  for (const std::string& host : hosts_) {
    if (std::ranges::count(come_, host, &HostReport::host) == 0) names.push_back(host);
  }
  return names;
}

std::vector<HostReport> CheckIn::reports() const {
  std::vector<HostReport> ordered;
  for (const std::string& host : hosts_) {
    const auto found = std::ranges::find(come_, host, &HostReport::host);
    if (found != come_.end()) ordered.push_back(*found);
  }
  return ordered;
}

}  // namespace lockstep

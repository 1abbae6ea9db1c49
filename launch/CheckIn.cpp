#include "launch/CheckIn.h"

#include <algorithm>

#include "common/Error.h"
#include "common/Text.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;

namespace {

const std::string& name_of(const HostReport& report) { return report.plan.name; }

}  // namespace

json HostReport::to_json() const {
  return {{"host", plan.name},
          {"ranks", plan.ranks},
          {"gpus", plan.gpus},
          {"threads_per_rank", plan.threads_per_rank},
          {"version", version},
          {"mpi", mpi},
          {"job", job},
          {"digest", digest},
          {"secret", secret},
          {"system_name", system_name},
          {"interface_name", interface_name}};
}

std::optional<HostReport> HostReport::from_json(const json& json) {
  constexpr std::int64_t kMost = 4096;
  const auto count = [&](const char* key, std::int64_t least) {
    return static_cast<int>(read_int(json.at(key), least, kMost));
  };
  try {
    return HostReport{.plan = {.name = json.at("host"),
                               .gpus = count("gpus", 0),
                               .ranks = count("ranks", 1),
                               .threads_per_rank = count("threads_per_rank", 1)},
                      .version = json.at("version"),
                      .mpi = json.at("mpi"),
                      .job = json.at("job"),
                      .digest = json.at("digest"),
                      .secret = json.at("secret"),
                      .system_name = json.at("system_name"),
                      .interface_name = json.at("interface_name")};
  } catch (const json::exception&) {
    return std::nullopt;
  } catch (const InputError&) {
    return std::nullopt;
  }
}

CheckIn::CheckIn(std::vector<std::string> hosts, HostReport own) : hosts_(std::move(hosts)), own_(std::move(own)) {
  come_.push_back(own_);
}

Admission CheckIn::admit(const HostReport& report, const std::string& from, const Resolve& resolve) {
  Admission admission = judge(report, from, resolve);
  if (admission.kind == Admission::Kind::kAdmitted) {
    come_.push_back(report);
    refusals_.erase(report.plan.name);
  } else if (std::ranges::count(missing(), report.plan.name) > 0) {
    refusals_[report.plan.name] = admission.refusal;
  }
  return admission;
}

Admission CheckIn::judge(const HostReport& report, const std::string& from, const Resolve& resolve) const {
  using enum Admission::Kind;
  const std::string& name = report.plan.name;
  if (std::ranges::count(hosts_, name) == 0) return {kNever, name + " is not a host of this job"};
  if (report.job != own_.job) return {kNever, name + " has a job of another name or with other hosts"};
  if (report.secret != own_.secret) return {kNever, name + " has another secret (secret_file, LOCKSTEP_JOB_SECRET)"};
  if (std::ranges::count(come_, name, name_of) > 0) return {kLater, name + " has come already"};
  const std::vector<std::string> addresses = resolve(name);
  if (std::ranges::count(addresses, from) == 0) {
    return {kLater, from + " says that it is " + name + ", which resolves to " +
                        (addresses.empty() ? "nothing" : join(addresses, ", "))};
  }
  if (report.version != own_.version) {
    return {kOtherJob, name + " runs Lockstep " + report.version + ", and " + own_.plan.name + " " + own_.version};
  }
  if (report.mpi != own_.mpi) {
    return {kOtherJob, name + " has OpenMPI " + report.mpi + ", and " + own_.plan.name + " " + own_.mpi};
  }
  if (report.digest != own_.digest) {
    return {kOtherJob, name + " has other hyperparameters than " + own_.plan.name + "; give all hosts the same job"};
  }
  if ((report.plan.gpus > 0) != (own_.plan.gpus > 0)) {
    const std::string& without = report.plan.gpus > 0 ? own_.plan.name : name;
    return {kOtherJob, without +
                           " has no GPU, and other hosts compute on theirs; set device=cpu, or leave that host "
                           "out (instance_groups)"};
  }
  const auto namesake = std::ranges::find(come_, report.system_name, &HostReport::system_name);
  if (namesake != come_.end() && own_.mpi.starts_with("5.")) {
    return {kOtherJob, "OpenMPI 5 takes hosts of one name for one host, and the systems of " + namesake->plan.name +
                           " and " + name + " are both called " + in_quotes(report.system_name) +
                           "; give them host names of their own (docker run --hostname), or use OpenMPI 4.1"};
  }
  return {};
}

bool CheckIn::may_ask(const std::string& secret, const std::string& from, const Resolve& resolve) const {
  if (!own_.secret.empty()) return secret == own_.secret;
  if (from.starts_with("127.")) return true;
  return std::ranges::any_of(hosts_,
                             [&](const std::string& host) { return std::ranges::count(resolve(host), from) > 0; });
}

void CheckIn::forget(const std::string& host) {
  std::erase_if(come_, [&](const HostReport& report) { return name_of(report) == host; });
}

std::vector<std::string> CheckIn::missing() const {
  std::vector<std::string> names;
  for (const std::string& host : hosts_) {
    if (std::ranges::count(come_, host, name_of) == 0) names.push_back(host);
  }
  return names;
}

std::vector<HostReport> CheckIn::reports() const {
  std::vector<HostReport> ordered;
  for (const std::string& host : hosts_) {
    const auto found = std::ranges::find(come_, host, name_of);
    if (found != come_.end()) ordered.push_back(*found);
  }
  return ordered;
}

}  // namespace lockstep

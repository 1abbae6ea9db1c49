#include "launch/StatusCommand.h"

#include <chrono>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/Error.h"
#include "common/ExitCodes.h"
#include "common/Text.h"
#include "job/Json.h"
#include "job/JsonNumber.h"
#include "launch/Connection.h"
#include "launch/Job.h"
#include "launch/JobArguments.h"
#include "launch/JobEnvironment.h"

namespace lockstep {

using nlohmann::json;

namespace {

constexpr std::chrono::seconds kToAnswer(10);

json ask(const Job& job) {
  const std::string& leader = job.hosts.front();
  const int port = static_cast<int>(job.config.hyperparameters.hosts_port);
  const std::string place = leader + ", port " + std::to_string(port);
  std::optional<FileDescriptor> socket = connect_to_port(leader, port);
  if (!socket) {
    throw HostLostError("nobody answers at " + place +
                        ": no job of several hosts is led from there; a job of one host listens nowhere, and its "
                        "metrics.jsonl says where it is");
  }
  Connection connection(std::move(*socket), leader);
  connection.send({{"type", "status"}, {"secret", job.secret}});
  const auto answer = connection.wait_until(std::chrono::steady_clock::now() + kToAnswer);
  if (!answer || field<std::string>(*answer, "type", "") != "status") {
    throw HostLostError(place + " does not say where its job is" +
                        (answer ? ": " + in_quotes(field<std::string>(*answer, "reason", "")) : ""));
  }
  return *answer;
}

void print_progress(const json& progress) {
  std::cout << "epoch     " << read_int(progress.at("epoch")) << " of " << read_int(progress.at("epochs"))
            << "\nstep      " << with_commas(read_int(progress.at("step"))) << " of "
            << with_commas(read_int(progress.at("total_steps")))
            << format("\nloss      %.6g\n", number_in(progress.at("train_loss")))
            << format("rate      %.1f samples/s\n", number_in(progress.at("samples_per_second")))
            << format("data wait %.1f %%\n", 100 * number_in(progress.at("data_wait_share")))
            << format("left      %.0f s\n", number_in(progress.at("seconds_left")));
}

}  // namespace

int status_command(const std::vector<std::string>& arguments) {
  const JobArguments parsed = parse_job_arguments(arguments);
  if (parsed.help) {
    std::cout << "usage: lockstep status [--hosts A,B…] [--hosts_port PORT] [--secret_file FILE]\n"
                 "Asks the leader of a running job, the first of its hosts, where the job is. In a container of the\n"
                 "job the hosts are known. It answers hosts of the job, and whoever has the job's secret.\n";
    return kExitDone;
  }
  Job job = gather_job(read_job_environment(process_environment(), parsed.base_dir), parsed);
  check_job(job);
  const json answer = ask(job);
  try {
    std::cout << "job       " << answer.at("stage").get<std::string>() << "\n";
    if (const auto missing = answer.at("missing").get<std::vector<std::string>>(); !missing.empty()) {
      std::cout << "missing   " << join(missing, ", ") << "\n";
    }
    if (answer.at("progress").is_object()) print_progress(answer.at("progress"));
  } catch (const std::exception&) {  // json::exception, or InputError of a number
    throw HostLostError(job.hosts.front() + " answers as another version of Lockstep would: ask with that version");
  }
  return kExitDone;
}

}  // namespace lockstep

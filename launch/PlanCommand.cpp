#include "launch/PlanCommand.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "common/Text.h"
#include "launch/Job.h"
#include "launch/JobArguments.h"
#include "launch/JobLauncher.h"
#include "launch/Launch.h"
#include "launch/MpiRun.h"
#include "launch/Network.h"
#include "launch/PredictCommand.h"
#include "launch/Preflight.h"
#include "launch/TrainCommand.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// A plan is made where people sit; the job runs elsewhere.
void print_absent(const Job& job) {
  std::vector<std::string> absent = job.absent;
  const std::string& model = job.config.hyperparameters.model;
  if (std::error_code error; model.ends_with(".pt2") && !fs::is_regular_file(model, error)) {
    absent.push_back("the program " + model + " is not a file" + (error ? ": " + error.message() : ""));
  }
  for (const std::string& text : absent)
    std::cout << "WARNING: not here, and `lockstep train` needs it: " << text << "\n";
}

void print_command(const Launch& launch, const std::vector<std::string>& arguments) {
  try {
    std::cout << "command   " << shell_quoted(launch_command(launch, arguments)) << "\n";
  } catch (const InputError& error) {
    std::cout << "command   not known here: " << error.what() << "\n";
  }
}

// How several hosts come together.
void print_meeting(const Job& job) {
  const std::string& leader = job.hosts.front();
  const std::string& here = job.config.host;
  const bool among = std::ranges::count(job.hosts, here) > 0;
  std::cout << "hosts     " << job.hosts.size()
            << (among ? "; this one is " + here + ", and the others are taken to be like it"
                      : "; this machine, " + here + ", is none of them, and they are taken to be like it")
            << "\n"
            << "leader    " << leader << (leader == here ? " (this host)" : "") << ", runs the command below";
  if (job.launcher != Launcher::kConnection) {
    std::cout << "; mpirun reaches the others by ssh\n";
    return;
  }
  std::cout << "; the others come to its port " << job.config.hyperparameters.hosts_port << " within "
            << to_json(job.config.hyperparameters).at("hosts_timeout").get<std::string>() << "\ninterface ";
  if (const std::string found = choose_interface(job.network_interface, ""); !found.empty()) {
    std::cout << found << "\n";
    return;
  }
  if (!job.network_interface.empty()) std::cout << job.network_interface << " is not on this host: ";
  std::cout << "the one by which the hosts reach the leader, when they have met\n";
}

void print_hosts(const Topology& topology) {
  for (const HostPlan& host : topology.hosts) {
    std::cout << "host      " << host.name << ": " << host.ranks << (host.ranks == 1 ? " rank" : " ranks")
              << (host.gpus == 0   ? " on the CPU, "
                  : host.gpus == 1 ? " on 1 GPU, "
                                   : " on " + std::to_string(host.gpus) + " GPUs, ")
              << host.threads_per_rank << (host.threads_per_rank == 1 ? " thread" : " threads") << " each"
              << (topology.oversubscribed ? " (more ranks than cores)" : "") << "\n";
  }
}

// What the job reads and writes.
void print_places(const JobConfig& config) {
  std::cout << "model     " << config.hyperparameters.model << "\n";
  for (const auto& [name, path] : config.channels) std::cout << "channel   " << name << " = " << path.string() << "\n";
  if (config.hyperparameters.data == Data::kSynthetic) {
    std::cout << "data      synthetic\n";
  } else if (config.channels.empty()) {
    std::cout << "channel   none: training needs one named train (or training)\n";
  }
  std::cout << "artifacts " << config.model_dir.string() << "\nresume    "
            << (config.checkpoint_dir.empty() ? "no: the job has no checkpoint directory"
                                              : "from " + config.checkpoint_dir.string())
            << "\noutput    " << config.output_dir.string() << "\nmetrics   "
            << (config.output_data_dir / "metrics.jsonl").string() << "\n";
}

}  // namespace

int plan_command(const std::vector<std::string>& arguments) {
  if (!arguments.empty() && arguments.front() == "--predict") {
    return predict_command({arguments.begin() + 1, arguments.end()});
  }
  const JobArguments parsed = parse_job_arguments(arguments);
  if (parsed.help) {
    print_train_help();
    return kExitDone;
  }
  const Environment environment = process_environment();
  const Launch launch = make_launch(gather_job(read_job_environment(environment, parsed.base_dir), parsed), environment,
                                    rank_place(environment));
  if (!launch.job.takes_part) {  // it knows nothing of those that do but their names
    for (const std::string& host : launch.job.hosts) std::cout << "host      " << host << ": trains\n";
    for (const std::string& note : launch.job.notes) std::cout << "note      " << note << "\n";
    return kExitDone;
  }
  print_absent(launch.job);
  for (const std::string& warning : launch.topology.warnings) std::cout << warning << "\n";
  if (launch.job.hosts.size() > 1) print_meeting(launch.job);
  print_hosts(launch.topology);
  print_places(launch.job.config);
  for (const std::string& note : launch.job.notes) std::cout << "note      " << note << "\n";
  if (const std::string note = drop_foreign_settings(launch.job.launcher); !note.empty())
    std::cout << "note      " << note << "\n";
  print_command(launch, arguments);
  return kExitDone;
}

}  // namespace lockstep

#include "launch/PredictCommand.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "common/Error.h"
#include "common/ExitCodes.h"
#include "common/File.h"
#include "common/Text.h"
#include "job/Hyperparameters.h"
#include "job/Json.h"
#include "job/PeakFlops.h"
#include "job/RawValue.h"
#include "launch/Prediction.h"

namespace lockstep {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr double kMebi = 1024.0 * 1024;
constexpr double kGiga = 1e9;
constexpr double kMicro = 1e-6;
constexpr double kBackwardShare = 2.0 / 3;  // of forward and backward: twice as many products
constexpr double kOfLineRate = 0.96;        // that all-reduces of large messages have: docs/prediction.md

/// A network between ranks that has a name.
struct NamedLink {
  const char* name;
  Link link;
  const char* source;
};

// Latencies of a step are those of NCCL's own model of a ring.
constexpr NamedLink kWithin[] = {
    {"nvlink-h100", {3.4e-6, 370e9}, "nccl-tests issue 212: 8 H100 SXM, ring"},
    {"nvlink-a100", {3.4e-6, 230e9}, "nccl-tests issue 149 and others: 8 A100 SXM"},
    {"nvlink-p100", {3.4e-6, 80e9}, "4 links of 20 GB/s each way"},
    {"pcie3", {5.7e-6, 12e9}, "16 lanes of 1 GB/s each way, less their protocol"},
    {"pcie4", {5.7e-6, 24e9}, "16 lanes of 2 GB/s each way, less their protocol"},
};

/// What is predicted from.
struct Workload {
  std::string name{};
  MeasuredStep step{};
  double held_bytes = 0;       ///< of a rank, besides the optimizer's
  double optimizer_bytes = 0;  ///< of a rank
  std::vector<int> hosts{1, 2, 4, 8, 16, 32};
  int ranks_per_host = 8;
  Link within = kWithin[1].link;
  Link between{14e-6, kOfLineRate * 100e9 / 8};
  std::optional<Reduction> reduction{};
};

double number_at(const json& object, const char* key, double otherwise) {
  const auto found = object.find(key);
  if (found == object.end()) return otherwise;
  if (!found->is_number() || !(found->get<double>() > 0)) {
    throw InputError(std::string(key) + ": expected a number > 0, found " + excerpt(*found));
  }
  return *found;
}

double required_number(const json& object, const char* key) {
  const double number = number_at(object, key, 0);
  if (number == 0) throw InputError(std::string(key) + " is missing");
  return number;
}

int count_of(const json& value, const char* key) {
  try {
    return static_cast<int>(read_int(value, 1, 1'000'000));
  } catch (const InputError& error) {
    throw InputError(std::string(key) + ": " + error.what());
  }
}

void set_within(Workload& workload, const json& value) {
  if (value.is_object()) {
    workload.within.bandwidth = kGiga * required_number(value, "gigabytes_per_second");
    workload.within.latency = kMicro * number_at(value, "microseconds", workload.within.latency / kMicro);
    return;
  }
  std::vector<std::string> names;
  for (const NamedLink& known : kWithin) {
    if (value == known.name) {
      workload.within = known.link;
      return;
    }
    names.emplace_back(known.name);
  }
  throw InputError("within: expected " + join(names, ", ") +
                   ", or {\"gigabytes_per_second\": …, \"microseconds\": …}; found " + excerpt(value));
}

void set_between(Workload& workload, const json& value) {
  if (!value.is_object()) {
    throw InputError("between: expected {\"gigabits_per_second\": …, \"microseconds\": …}, found " + excerpt(value));
  }
  workload.between.bandwidth = kOfLineRate * kGiga / 8 * required_number(value, "gigabits_per_second");
  workload.between.latency = kMicro * number_at(value, "microseconds", workload.between.latency / kMicro);
}

void set_reduction(Workload& workload, const json& value) {
  for (const Reduction reduction : {Reduction::kRing, Reduction::kTree, Reduction::kHierarchical}) {
    if (value == name_of(reduction)) {
      workload.reduction = reduction;
      return;
    }
  }
  throw InputError("reduction: expected ring, tree or hierarchical, found " + excerpt(value));
}

// What a card needs for the arithmetic of a sample.
double seconds_on_card(const json& figures, double samples) {
  const std::string card = figures.at("card").get<std::string>();
  const double utilization = required_number(figures, "mfu");
  if (utilization > 1) throw InputError("mfu: expected a share of the card's peak, at most 1");
  const auto peak = peak_flops(card, Precision::kBf16, true);
  if (!peak)
    throw InputError("card: the peak of " + in_quotes(card) + " in bf16 is not known; give samples_per_second");
  return samples * required_number(figures, "flops") / (*peak * utilization);
}

// A file of figures: docs/prediction.md says what they are.
Workload read_figures(const json& figures) {
  static const std::vector<std::string> kKnown = {"name",
                                                  "source",
                                                  "published",
                                                  "samples",
                                                  "samples_per_second",
                                                  "flops",
                                                  "card",
                                                  "mfu",
                                                  "within",
                                                  "between",
                                                  "parameters",
                                                  "bytes_each",
                                                  "bucket_mb",
                                                  "optimizer_bytes",
                                                  "hosts",
                                                  "ranks_per_host",
                                                  "reduction",
                                                  "backward_share",
                                                  "note"};
  if (!figures.is_object()) throw InputError("expected an object of figures");
  for (const auto& [key, value] : figures.items()) {
    if (std::ranges::count(kKnown, key) > 0) continue;
    const std::string meant = nearest(key, kKnown);
    throw InputError("unknown figure " + in_quotes(key) + (meant.empty() ? "" : "; did you mean " + meant + "?"));
  }
  Workload workload;
  workload.name = figures.value("name", "");
  MeasuredStep& step = workload.step;
  step.samples = required_number(figures, "samples");
  const double seconds = figures.contains("card") ? seconds_on_card(figures, step.samples)
                                                  : step.samples / required_number(figures, "samples_per_second");
  const double share = number_at(figures, "backward_share", kBackwardShare);
  if (share >= 1) throw InputError("backward_share: expected a number < 1");
  step.backward = share * seconds;
  step.forward = seconds - step.backward;
  const double parameters = required_number(figures, "parameters");
  step.gradient_bytes = parameters * number_at(figures, "bytes_each", 4);
  step.bucket_bytes = kMebi * number_at(figures, "bucket_mb", Hyperparameters().bucket_cap_mb);
  workload.optimizer_bytes = parameters * number_at(figures, "optimizer_bytes", 8);
  workload.held_bytes = parameters * 4 + step.gradient_bytes;
  if (figures.contains("within")) set_within(workload, figures["within"]);
  if (figures.contains("between")) set_between(workload, figures["between"]);
  if (figures.contains("reduction")) set_reduction(workload, figures["reduction"]);
  if (figures.contains("ranks_per_host")) {
    workload.ranks_per_host = count_of(figures["ranks_per_host"], "ranks_per_host");
  }
  if (figures.contains("hosts")) workload.hosts = {count_of(figures["hosts"], "hosts")};
  return workload;
}

/// What the lines of a metrics.jsonl say of a run's steps since its last start: before, it may have had other ranks.
struct RunSteps {
  json start{};
  json ranks{};                            ///< the last that was said of them
  double steps = 0;                        ///< that were timed
  std::map<std::string, double> phases{};  ///< seconds of rank 0, of all of these
};

RunSteps read_steps(const fs::path& path) {
  RunSteps run;
  std::ifstream file(path);
  std::int64_t number = 0;
  for (std::string text; std::getline(file, text) && !file.eof();) {
    ++number;
    if (text.find("\"event\":\"progress\"") != std::string::npos) continue;
    json line = parse_json(text, path.string() + ", line " + std::to_string(number));
    const std::string event = line.value("event", "");
    if (event == "start") run = RunSteps{.start = std::move(line)};
    if (event != "ranks") continue;
    run.ranks = std::move(line.at("ranks"));
    const json& first = run.ranks.at(0);
    const auto steps = first.at("steps").get<double>();
    run.steps += steps;
    for (const auto& [phase, seconds] : first.at("seconds_per_step").items()) {
      run.phases[phase] += steps * seconds.get<double>();
    }
  }
  if (run.start.is_null() || run.steps == 0) {
    throw InputError(path.string() +
                     " has no events start and ranks: a prediction needs a run that has come to the end "
                     "of an epoch");
  }
  return run;
}

// A run that was made, at best of one rank: waiting for others is left out.
Workload read_run(const fs::path& path) {
  const RunSteps run = read_steps(path);
  Workload workload;
  workload.name = path.string();
  MeasuredStep& step = workload.step;
  const auto mean = [&](const char* phase) { return run.phases.at(phase) / run.steps; };
  if (mean("replay") > 0 || mean("device_wait") > 0) {
    // The host does not know what the device did when: the time is split as arithmetic is.
    double all = 0;
    for (const auto& [phase, seconds] : run.phases) all += seconds / run.steps;
    step.rest = mean("data_wait");
    step.backward = kBackwardShare * (all - step.rest);
    step.forward = all - step.rest - step.backward;
  } else {
    step.forward = mean("forward");
    step.backward = mean("backward");
    step.rest = mean("data_wait") + mean("optimizer");
  }
  step.samples = run.start.at("batch_size").get<double>() / run.start.at("ranks").get<double>();
  const json& memory = run.start.at("memory");
  step.gradient_bytes = memory.at("gradients").get<double>();
  const json& options = run.start.at("hyperparameters");
  step.bucket_bytes = kMebi * std::stod(options.at("bucket_cap_mb").get<std::string>());
  const auto optimizer_here = memory.at("optimizer").get<double>();
  const bool shared = options.value("shard_optimizer", "false") == "true";
  workload.optimizer_bytes = optimizer_here * (shared ? run.start.at("ranks").get<double>() : 1);
  workload.held_bytes = memory.at("parameters").get<double>() + step.gradient_bytes;
  for (const json& rank : run.ranks) {
    workload.held_bytes = std::max(workload.held_bytes, rank.at("peak_memory").get<double>() - optimizer_here);
  }
  return workload;
}

Workload read_workload(const fs::path& path) {
  fs::path lines = path;
  for (const char* below : {"metrics.jsonl", "data/metrics.jsonl"}) {
    if (fs::is_directory(path) && fs::exists(path / below)) lines = path / below;
  }
  if (fs::is_directory(lines)) throw InputError(path.string() + " has no metrics.jsonl");
  try {
    if (lines.extension() == ".jsonl") return read_run(lines);
    return read_figures(parse_json(read_file(lines, std::uint64_t{1} << 20), lines.string()));
  } catch (const json::exception& error) {
    throw InputError(lines.string() + ": " + error.what());
  } catch (const InputError& error) {
    const std::string text = error.what();
    throw InputError(text.find(lines.string()) == std::string::npos ? lines.string() + ": " + text : text);
  }
}

std::vector<int> counts(const std::string& text, const char* name) {
  std::vector<int> numbers;
  for (const std::string& part : split(text, ',')) {
    const auto number = RawValue(part).integer();
    if (!number || *number < 1 || *number > 1'000'000) {
      throw InputError(std::string(name) + ": expected integers ≥ 1, as in 1,2,4, found " + in_quotes(text));
    }
    numbers.push_back(static_cast<int>(*number));
  }
  return numbers;
}

json flag_value(const std::string& text) {
  return !text.empty() && text.front() == '{' ? parse_json(text, "the flag") : json(text);
}

Workload read_arguments(const std::vector<std::string>& arguments) {
  if (arguments.empty()) throw InputError("--predict needs a run's output directory, or a JSON file of figures");
  Workload workload = read_workload(arguments.front());
  for (std::size_t i = 1; i < arguments.size(); i += 2) {
    const std::string& flag = arguments[i];
    if (i + 1 == arguments.size()) throw InputError(flag + " needs a value");
    const std::string& value = arguments[i + 1];
    if (flag == "--hosts") {
      workload.hosts = counts(value, "--hosts");
    } else if (flag == "--ranks_per_host") {
      workload.ranks_per_host = counts(value, "--ranks_per_host").front();
    } else if (flag == "--within") {
      set_within(workload, flag_value(value));
    } else if (flag == "--between") {
      set_between(workload, flag_value(value));
    } else if (flag == "--reduction") {
      set_reduction(workload, value);
    } else {
      throw InputError("plan --predict takes --hosts, --ranks_per_host, --within, --between and --reduction, not " +
                       in_quotes(flag));
    }
  }
  return workload;
}

std::string link_text(const Link& link) {
  return format("%.4g GB/s, %.3g µs", link.bandwidth / kGiga, link.latency / kMicro);
}

bool shards_optimizer() {
  return std::ranges::any_of(describe_hyperparameters(),
                             [](const HyperparameterDescription& row) { return row.name == "shard_optimizer"; });
}

void print_workload(const Workload& workload) {
  const MeasuredStep& step = workload.step;
  const double buckets = std::max(1.0, std::ceil(step.gradient_bytes / step.bucket_bytes));
  std::cout << "workload  " << workload.name << "\n"
            << format("alone     %.3f ms a step of %g samples: forward %.3f, backward %.3f, optimizer and data %.3f\n",
                      1e3 * step.seconds(), step.samples, 1e3 * step.forward, 1e3 * step.backward, 1e3 * step.rest)
            << format("gradients %.1f MiB in %.0f buckets\n", step.gradient_bytes / kMebi, buckets) << "within    "
            << link_text(workload.within) << " (a host)\nbetween   " << link_text(workload.between) << " (hosts)\n";
}

void print_steps(const Workload& workload) {
  const bool sharded = shards_optimizer();
  std::cout
      << "\n   hosts  ranks  reduction     compute ms  reduce ms  exposed ms     step ms    samples/s  efficiency  "
         "GiB a rank"
      << (sharded ? "  shard_optimizer" : "") << "\n";
  for (const int hosts : workload.hosts) {
    const RankGrid grid = {.hosts = hosts,
                           .ranks_per_host = workload.ranks_per_host,
                           .within = workload.within,
                           .between = workload.between};
    const PredictedStep step = predict_step(workload.step, grid, workload.reduction);
    std::cout << format("%8d %6d  %-12s %11.3f %10.3f %11.3f %11.3f %12.1f %10.1f%% %11.3f", hosts, grid.ranks(),
                        grid.ranks() > 1 ? name_of(step.reduction) : "none", 1e3 * workload.step.seconds(),
                        1e3 * step.communication, 1e3 * step.exposed, 1e3 * step.seconds, step.samples_per_second,
                        100 * step.efficiency, (workload.held_bytes + workload.optimizer_bytes) / (1024 * kMebi));
    if (sharded) {
      std::cout << format("  %15.3f", (workload.held_bytes + workload.optimizer_bytes / grid.ranks()) / (1024 * kMebi));
    }
    std::cout << "\n";
  }
}

}  // namespace

int predict_command(const std::vector<std::string>& arguments) {
  const Workload workload = read_arguments(arguments);
  print_workload(workload);
  print_steps(workload);
  return kExitDone;
}

}  // namespace lockstep

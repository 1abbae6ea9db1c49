#include "engine/report/MetricsFile.h"

#include <simdjson.h>

#include <cstddef>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/Error.h"
#include "engine/report/HostNumbers.h"
#include "engine/report/RunRows.h"
#include "job/JsonNumber.h"

namespace lockstep {

using nlohmann::json;

namespace {

json row_object(const Rows& rows) {
  json object = json::object();
  for (const auto& [name, value] : rows) object[name] = value;
  return object;
}

json numbers_of(const std::vector<double>& row) {
  json numbers = json::array();
  for (const double number : row) numbers.push_back(json_number(number));
  return numbers;
}

json metrics_line(const char* event, std::int64_t epoch, std::int64_t global_step, const Metrics& metrics,
                  const Tables& tables) {
  json line = {{"event", event}, {"epoch", epoch}, {"step", global_step}};
  for (const auto& [name, value] : metrics) line[name] = json_number(value);
  for (const auto& [name, rows] : tables) {
    json table = json::array();
    for (const std::vector<double>& row : rows) table.push_back(numbers_of(row));
    line[name] = rows.size() == 1 ? table.front() : table;
  }
  return line;
}

json object_of(const StepSeconds& seconds, std::int64_t steps = 1) {
  json object = json::object();
  for (const StepPhase& phase : kStepPhases) object[phase.name] = seconds.*phase.seconds / static_cast<double>(steps);
  return object;
}

json object_of(const RankUse& rank, int host) {
  return {{"host", host},
          {"steps", rank.steps},
          {"seconds_per_step", object_of(rank.seconds)},
          {"peak_memory", rank.peak_memory}};
}

/// What the file of an earlier start says of the steps that need not be done again.
class EarlierLines {
 public:
  explicit EarlierLines(const RunStarted& run) : run_(run) {}

  /// Nothing of another job's file.
  void copy(const std::filesystem::path& path, OutputFile& to) {
    constexpr std::size_t kAtOnce = std::size_t{1} << 20;
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) return;  // a pipe would wait for a writer
    std::ifstream file(path, std::ios::binary);
    std::string text;
    for (std::string line; std::getline(file, line) && !file.eof();) {  // the last may not be whole
      if (!keeps(line)) continue;
      text += line + '\n';
      if (text.size() >= kAtOnce) to.write(std::exchange(text, {}));
    }
    to.write(text);
  }

 private:
  bool keeps(const std::string& line) {
    simdjson::dom::element object;
    std::string_view event;
    if (parser_.parse(line).get(object) != simdjson::SUCCESS || object["event"].get(event) != simdjson::SUCCESS) {
      return false;
    }
    if (event == "start") {
      std::string_view identity;
      same_job_ = object["identity"].get(identity) == simdjson::SUCCESS && identity == run_.identity;
    }
    std::int64_t step = 0;
    const bool known = object[event == "start" ? "resumed_step" : "step"].get(step) == simdjson::SUCCESS;
    return same_job_ && known && step <= run_.resumed_step && event != "final";
  }

  const RunStarted& run_;
  simdjson::dom::parser parser_;
  bool same_job_ = false;
};

// When the run started, for whoever compares runs.
std::string time_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[sizeof "2026-01-01T00:00:00Z"];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

MetricsFile::MetricsFile(std::filesystem::path directory, double seconds_between_lines)
    : directory_(std::move(directory)), meter_(false, seconds_between_lines, ProgressMeter::kFewestLines) {}

void MetricsFile::write(const json& line) {
  if (!file_) throw InternalError("an event came to " + path().string() + " before the run started");
  // Names of classes are bytes of whatever encoding.
  file_->write(line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
}

void MetricsFile::open(const RunStarted& event) {
  if (event.resumed_step == 0 || event.identity.empty()) {
    file_.emplace(path());
    return;
  }
  const std::filesystem::path aside = directory_ / (std::string(".") + kName);
  file_.emplace(aside);
  EarlierLines(event).copy(path(), *file_);
  std::error_code error;
  std::filesystem::rename(aside, path(), error);
  if (error) throw SystemError("cannot replace " + path().string() + ": " + error.message());
}

void MetricsFile::run_started(const RunStarted& event) {
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error) throw InputError("cannot make the output directory " + directory_.string() + ": " + error.message());
  open(event);
  Rows rows = rows_of(event);
  rows.emplace_back("metrics", path().string());
  write({{"event", "start"},
         {"time", time_now()},
         {"job", row_object(rows)},
         {"ranks", event.ranks},
         {"hosts", event.hosts},
         {"parameters", event.parameters},
         {"precision", to_string(event.precision)},
         {"batch_size", event.batch_size},
         {"total_steps", event.total_steps},
         {"monitor", event.monitor},
         {"labels", event.labels},
         {"identity", event.identity},
         {"resumed_step", event.resumed_step},
         {"memory",
          {{"parameters", event.memory.parameters},
           {"gradients", event.memory.gradients},
           {"optimizer", event.memory.optimizer},
           {"average", event.memory.average},
           {"best", event.memory.best}}},
         {"hyperparameters", row_object(event.hyperparameters)}});
}

void MetricsFile::images_shown(const ImagesShown& event) {
  OutputFile picture(directory_ / kPicture);
  picture.write(event.png);
  picture.close();
  write({{"event", "images"},
         {"channel", event.channel},
         {"file", kPicture},
         {"columns", event.columns},
         {"labels", event.labels}});
}

void MetricsFile::step_done(const StepDone& event) {
  if (steps_++ == 0) first_step_ = event.when;
  step_seconds_ += event.seconds;
  since_line_ += event.seconds;
  ++steps_since_line_;
  const std::optional<Speed> speed = meter_.step_done(event);
  if (!speed) return;
  const json phases = object_of(std::exchange(since_line_, {}), std::exchange(steps_since_line_, 0));
  write({{"event", "progress"},
         {"epoch", event.epoch},
         {"step", event.global_step},
         {"train_loss", json_number(event.loss)},
         {"learning_rate", event.learning_rate},
         {"samples_per_second", json_number(speed->samples_per_second)},
         {"seconds", std::chrono::duration<double>(event.when - first_step_).count()},
         {"seconds_per_step", phases}});
}

void MetricsFile::evaluated(const Evaluated& event) {
  meter_.evaluated();
  write(metrics_line("epoch", event.epoch, event.global_step, metrics_of(event), event.tables));
  if (event.ranks.empty()) return;
  json ranks = json::array();
  HostNumbers hosts;
  for (const RankUse& rank : event.ranks) ranks.push_back(object_of(rank, hosts.of(rank.host)));
  write({{"event", "ranks"}, {"step", event.global_step}, {"ranks", ranks}});
}

void MetricsFile::checkpoint_saved(const CheckpointSaved& event) { meter_.saved(event); }

void MetricsFile::straggler(const Straggler& event) {
  write({{"event", "straggler"},
         {"rank", event.rank},
         {"host", event.host},
         {"factor", json_number(event.factor)},
         {"step", event.global_step}});
}

void MetricsFile::run_ended(const RunEnded& event) {
  json line = metrics_line("final", event.state_epoch, event.state_step, metrics_of(event), event.tables);
  line["step_seconds"] = object_of(step_seconds_);
  write(line);
  write({{"event", "end"}, {"job", row_object(rows_of(event))}, {"stopped", event.stopped}});
}

void MetricsFile::run_failed(const RunFailed& event) {
  if (!file_) return;
  try {
    write({{"event", "failed"}, {"error", event.text}});
  } catch (const Error&) {  // what the run has come to says more than that it cannot be written down
  }
}

}  // namespace lockstep

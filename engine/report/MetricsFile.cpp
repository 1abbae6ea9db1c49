#include "engine/report/MetricsFile.h"

#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "common/Error.h"
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

json object_of(const StepSeconds& seconds) {
  return {{"data_wait", seconds.data_wait},           {"forward", seconds.forward},     {"backward", seconds.backward},
          {"reduction_wait", seconds.reduction_wait}, {"optimizer", seconds.optimizer}, {"replay", seconds.replay},
          {"device_wait", seconds.device_wait}};
}

}  // namespace

MetricsFile::MetricsFile(std::filesystem::path directory, bool terminal, double seconds_between_lines)
    : directory_(std::move(directory)), meter_(terminal, seconds_between_lines) {}

void MetricsFile::write(const json& line) {
  if (!file_) throw InternalError("an event came to " + path().string() + " before the run started");
  file_->write(line.dump() + "\n");
}

void MetricsFile::run_started(const RunStarted& event) {
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error) throw InputError("cannot make the output directory " + directory_.string() + ": " + error.message());
  file_.emplace(path());
  Rows rows = rows_of(event);
  rows.emplace_back("metrics", path().string());
  write({{"event", "start"}, {"job", row_object(rows)}});
}

void MetricsFile::step_done(const StepDone& event) {
  step_seconds_ += event.seconds;
  const std::optional<Speed> speed = meter_.step_done(event);
  if (!speed) return;
  write({{"event", "progress"},
         {"epoch", event.epoch},
         {"step", event.global_step},
         {"train_loss", json_number(event.loss)},
         {"learning_rate", event.learning_rate},
         {"samples_per_second", json_number(speed->samples_per_second)}});
}

void MetricsFile::evaluated(const Evaluated& event) {
  meter_.pause();
  write(metrics_line("epoch", event.epoch, event.global_step, metrics_of(event), event.tables));
}

void MetricsFile::checkpoint_saved(const CheckpointSaved& event) { meter_.waited(event.stall); }

void MetricsFile::straggler(const Straggler& event) {
  write({{"event", "straggler"},
         {"rank", event.rank},
         {"host", event.host},
         {"factor", json_number(event.factor)},
         {"step", event.global_step}});
}

void MetricsFile::run_ended(const RunEnded& event) {
  json line = metrics_line("final", event.epochs, event.state_step, metrics_of(event), event.tables);
  line["step_seconds"] = object_of(step_seconds_);
  write(line);
  write({{"event", "end"}, {"job", row_object(rows_of(event))}});
}

}  // namespace lockstep

#include "engine/report/MetricsFile.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/report/RunRows.h"

namespace lockstep {

using nlohmann::json;

namespace {

// JSON has no NaN and no infinity.
json number(double value) { return std::isfinite(value) ? json(value) : json(format("%g", value)); }

json row_object(const Rows& rows) {
  json object = json::object();
  for (const auto& [name, value] : rows) object[name] = value;
  return object;
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
  const std::optional<Speed> speed = meter_.step_done(event);
  if (!speed) return;
  write({{"event", "progress"},
         {"epoch", event.epoch},
         {"step", event.global_step},
         {"train_loss", number(event.loss)},
         {"learning_rate", event.learning_rate},
         {"samples_per_second", number(speed->samples_per_second)}});
}

void MetricsFile::write_metrics(const char* event, std::int64_t epoch, std::int64_t global_step,
                                const Metrics& metrics) {
  meter_.pause();
  json line = {{"event", event}, {"epoch", epoch}, {"step", global_step}};
  for (const auto& [name, value] : metrics) line[name] = number(value);
  write(line);
}

void MetricsFile::evaluated(const Evaluated& event) {
  write_metrics("epoch", event.epoch, event.global_step, metrics_of(event));
}

void MetricsFile::run_ended(const RunEnded& event) {
  write_metrics("final", event.epochs, event.state_step, metrics_of(event));
  write({{"event", "end"}, {"job", row_object(rows_of(event))}});
}

}  // namespace lockstep

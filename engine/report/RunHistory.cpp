#include "engine/report/RunHistory.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/Error.h"
#include "engine/report/MetricsFile.h"
#include "job/Json.h"
#include "job/JsonNumber.h"

namespace lockstep {

using nlohmann::json;

namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

Rows rows_in(const json& object) {
  Rows rows;
  for (const auto& [name, value] : object.items()) rows.emplace_back(name, value.get<std::string>());
  return rows;
}

double number_of(const simdjson::dom::element& object, const char* name) {
  double number = kNothing;
  return object[name].get(number) == simdjson::SUCCESS ? number : kNothing;
}

RankUse rank_use(const json& object) {
  RankUse rank = {.host = static_cast<int>(read_int(object.at("host"), 0, std::numeric_limits<int>::max())),
                  .steps = read_int(object.at("steps")),
                  .peak_memory = read_int(object.at("peak_memory"))};
  for (const StepPhase& phase : kStepPhases) {
    rank.seconds.*phase.seconds = object.at("seconds_per_step").at(phase.name);
  }
  return rank;
}

bool is_number(const json& value) { return value.is_number() || value == "nan" || value == "inf" || value == "-inf"; }

}  // namespace

void ProgressSeries::Cell::add(const Cell& other) {
  if (other.count == 0) return;
  least = count == 0 ? other.least : std::min(least, other.least);
  most = count == 0 ? other.most : std::max(most, other.most);
  sum += other.sum;
  count += other.count;
}

void ProgressSeries::add(std::int64_t step, const std::array<double, kColumns>& numbers) {
  if (points_.empty() || points_.back().lines == lines_each_) {
    if (points_.size() == kMost) {
      for (std::size_t i = 0; i < kMost / 2; ++i) {
        Point both = points_[2 * i];
        const Point& second = points_[2 * i + 1];
        both.step = second.step;
        both.lines += second.lines;
        for (std::size_t c = 0; c < kColumns; ++c) both.cells[c].add(second.cells[c]);
        points_[i] = both;
      }
      points_.resize(kMost / 2);
      lines_each_ *= 2;
    }
    points_.emplace_back();
  }
  Point& point = points_.back();
  point.step = step;
  ++point.lines;
  for (std::size_t c = 0; c < kColumns; ++c) {
    const double number = numbers[c];
    if (std::isfinite(number)) point.cells[c].add({.sum = number, .least = number, .most = number, .count = 1});
  }
}

RunHistory::RunHistory(const std::filesystem::path& path) : path_(path) {
  if (std::filesystem::is_directory(path_)) path_ /= MetricsFile::kName;
}

void RunHistory::read_on() {
  std::ifstream file(path_, std::ios::binary);
  if (!file) {
    throw InputError("cannot read " + path_.string() +
                     ": give a job's directory for output data, or its metrics.jsonl");
  }
  file.seekg(static_cast<std::streamoff>(read_));
  std::string line;
  while (std::getline(file, line) && !file.eof()) {  // the last line may not be whole yet
    ++lines_;
    try {
      add(std::string_view(line));
    } catch (const std::exception& error) {  // json::exception, or InputError of a number
      throw InputError(path_.string() + ", line " + std::to_string(lines_) +
                       ", is no line of metrics.jsonl: " + error.what());
    }
    read_ += line.size() + 1;
  }
}

// Lines of progress are as many as steps, and all others few: they have a reader that takes 0.5 µs for one.
bool RunHistory::add_progress(std::string_view line) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::element object;
  std::string_view event;
  std::int64_t step = 0;
  if (parser.parse(line.data(), line.size()).get(object) != simdjson::SUCCESS ||
      object["event"].get(event) != simdjson::SUCCESS || event != "progress" ||
      object["step"].get(step) != simdjson::SUCCESS) {
    return false;
  }
  std::array<double, ProgressSeries::kColumns> numbers{};
  for (std::size_t i = 0; i < ProgressSeries::kNumbers.size(); ++i) {
    numbers[i] = number_of(object, ProgressSeries::kNumbers[i]);
  }
  double& seconds = numbers[ProgressSeries::kSeconds];
  seconds += seconds_before_;
  if (std::isfinite(seconds)) seconds_ = seconds;
  simdjson::dom::element phases;
  const bool timed = object["seconds_per_step"].get(phases) == simdjson::SUCCESS;
  for (std::size_t i = 0; i < kStepPhases.size(); ++i) {
    numbers[ProgressSeries::kNumbers.size() + i] = timed ? number_of(phases, kStepPhases[i].name) : kNothing;
  }
  progress.add(step, numbers);
  return true;
}

void RunHistory::add(std::string_view line) {
  if (add_progress(line)) return;
  add(parse_json(line, path_.string() + ", line " + std::to_string(lines_)));
}

void RunHistory::add(const json& line) {
  const std::string event = line.at("event");
  if (event == "start") {
    add_start(line);
  } else if (event == "epoch") {
    evaluations.push_back({.epoch = read_int(line.at("epoch")), .step = read_int(line.at("step"))});
    add_metrics(line, evaluations.back().metrics);
  } else if (event == "ranks") {
    ranks.clear();
    for (const json& rank : line.at("ranks")) ranks.push_back(rank_use(rank));
  } else if (event == "images") {
    images = {.channel = line.at("channel"), .columns = line.at("columns"), .labels = line.at("labels")};
    picture = line.at("file");
  } else if (event == "final") {
    add_metrics(line, final_metrics);
  } else if (event == "end") {
    state = line.value("stopped", false) ? State::kStopped : State::kEnded;
    result = rows_in(line.at("job"));
  } else if (event == "failed") {
    state = State::kFailed;
    error = line.at("error");
  }
}

void RunHistory::add_start(const json& line) {
  job = rows_in(line.at("job"));
  started = line.value("time", "");
  monitor = line.value("monitor", "");
  total_steps = line.value("total_steps", std::int64_t{0});
  labels = line.value("labels", std::vector<std::string>());
  if (const std::int64_t step = line.value("resumed_step", std::int64_t{0}); step > 0) resumed.push_back(step);
  seconds_before_ = seconds_;
  if (line.contains("hyperparameters")) hyperparameters = rows_in(line.at("hyperparameters"));
  if (!line.contains("memory")) return;
  const json& held = line.at("memory");
  memory = {.parameters = read_int(held.at("parameters")),
            .gradients = read_int(held.at("gradients")),
            .optimizer = read_int(held.at("optimizer")),
            .average = held.value("average", std::int64_t{0}),
            .best = held.value("best", std::int64_t{0})};
}

void RunHistory::add_metrics(const json& line, Metrics& metrics) {
  Tables found;
  for (const auto& [name, value] : line.items()) {
    if (name == "epoch" || name == "step" || name == "event") continue;
    if (is_number(value)) metrics.emplace_back(name, number_in(value));
    if (!value.is_array() || value.empty() || !value.front().is_array()) continue;
    std::vector<std::vector<double>> rows;
    for (const json& row : value) {
      rows.emplace_back();
      for (const json& number : row) rows.back().push_back(number_in(number));
    }
    found.emplace_back(name, std::move(rows));
  }
  if (!found.empty()) tables = std::move(found);
}

}  // namespace lockstep

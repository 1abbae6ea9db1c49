#include "engine/report/ReportPage.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/report/Chart.h"
#include "engine/report/ReportParts.h"
#include "engine/report/ReportStyle.h"
#include "job/JsonNumber.h"

namespace lockstep {

using nlohmann::json;
using Runs = std::vector<RunHistory>;

namespace {

constexpr std::size_t kColours = 8;
constexpr std::size_t kMostMarked = 60;

std::size_t column(const char* name) {
  const auto& numbers = ProgressSeries::kNumbers;
  const auto found = std::ranges::find_if(numbers, [&](const char* known) { return std::string(known) == name; });
  return static_cast<std::size_t>(found - numbers.begin());
}

// Of several runs, fewer points each: a page stays small.
ChartLine progress_line(const RunHistory& run, std::size_t c, std::size_t x_column, bool band) {
  ChartLine line;
  const bool merged = run.progress.lines_each() > 1;
  for (const ProgressSeries::Point& point : run.progress.points()) {
    const ProgressSeries::Cell& cell = point.cells[c];
    line.x.push_back(x_column == ProgressSeries::kColumns ? static_cast<double>(point.step)
                                                          : point.cells[x_column].mean());
    line.y.push_back(cell.mean());
    if (!band || !merged) continue;
    line.least.push_back(cell.count > 0 ? cell.least : cell.mean());
    line.most.push_back(cell.count > 0 ? cell.most : cell.mean());
  }
  if (x_column != ProgressSeries::kColumns && std::ranges::any_of(line.x, [](double x) { return !std::isfinite(x); })) {
    return {};
  }
  return line;
}

ChartLine evaluation_line(const RunHistory& run, const std::string& metric) {
  ChartLine line;
  for (const EvaluationLine& evaluation : run.evaluations) {
    for (const auto& [name, value] : evaluation.metrics) {
      if (name != metric) continue;
      line.x.push_back(static_cast<double>(evaluation.step));
      line.y.push_back(value);
    }
  }
  // Of more than a picture shows, some, and the last.
  const std::size_t every = line.x.size() / ProgressSeries::kMost + 1;
  ChartLine some;
  for (std::size_t i = 0; i < line.x.size(); ++i) {
    if (i % every != 0 && i + 1 != line.x.size()) continue;
    some.x.push_back(line.x[i]);
    some.y.push_back(line.y[i]);
  }
  return some;
}

std::vector<std::string> evaluated_metrics(const Runs& runs) {
  std::vector<std::string> names;
  for (const RunHistory& run : runs) {
    for (const EvaluationLine& evaluation : run.evaluations) {
      for (const auto& [name, value] : evaluation.metrics) {
        if (name != "train_samples_per_second" && std::ranges::count(names, name) == 0) names.push_back(name);
      }
    }
  }
  return names;
}

/// The charts of a page.
class Charts {
 public:
  explicit Charts(const Runs& runs) : runs_(runs), names_(names_of(runs)) {
    add_progress("loss", "Training loss", "train_loss", true);
    for (const std::string& metric : evaluated_metrics(runs)) {
      if (runs.size() > 1 || !metric.ends_with("_loss")) add_evaluation(metric);
    }
    if (runs.size() == 1) add_losses();
    add_progress("rate", "Throughput", "samples_per_second", false, "samples per second", true);
    add_progress("learning", "Learning rate", "learning_rate", false, "", true);
    if (runs.size() > 1) add_by_time();
    if (runs.size() == 1) add_phases();
  }

  const std::vector<Chart>& all() const { return charts_; }

 private:
  void add_progress(const char* id, const char* title, const char* name, bool band, const char* unit = "",
                    bool from_zero = false) {
    Chart chart = {.id = id, .title = title, .unit = unit, .from_zero = from_zero};
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      chart.lines.push_back(progress_line(runs_[i], column(name), ProgressSeries::kColumns, band && runs_.size() == 1));
      name_line(chart, i);
    }
    if (runs_.size() == 1 && runs_[0].progress.lines_each() > 1) {
      chart.unit += (chart.unit.empty() ? "" : ", ") + std::string("mean of each ") +
                    with_commas(runs_[0].progress.lines_each()) + " values" +
                    (band ? ", with the least and the most" : "");
    }
    charts_.push_back(std::move(chart));
  }

  void add_evaluation(const std::string& metric) {
    Chart chart = {.id = "metric" + std::to_string(charts_.size()), .title = metric, .points = true};
    if (metric == "train_loss") chart.title = "Training loss of each epoch";
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      chart.lines.push_back(evaluation_line(runs_[i], metric));
      chart.points &= chart.lines.back().x.size() <= kMostMarked;
      name_line(chart, i);
    }
    charts_.push_back(std::move(chart));
  }

  // What was trained on beside what was not: where they part, the model learns by heart.
  void add_losses() {
    Chart chart = {.id = "losses", .title = "Loss of each epoch", .points = true};
    for (const std::string& metric : evaluated_metrics(runs_)) {
      if (!metric.ends_with("_loss")) continue;
      chart.lines.push_back(evaluation_line(runs_[0], metric));
      chart.lines.back().label = metric.substr(0, metric.size() - 5);
      chart.lines.back().colour = metric == "train_loss" ? 0 : chart.lines.size();
      chart.points &= chart.lines.back().x.size() <= kMostMarked;
    }
    charts_.insert(charts_.begin() + 1, std::move(chart));
  }

  void add_by_time() {
    Chart chart = {.id = "time", .title = "Training loss over time", .x = "seconds"};
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      chart.lines.push_back(progress_line(runs_[i], column("train_loss"), column("seconds"), false));
      name_line(chart, i);
    }
    charts_.push_back(std::move(chart));
  }

  // Milliseconds of a step by phase.
  void add_phases() {
    Chart chart = {.id = "phases", .title = "Phases of a step", .unit = "ms a step, on rank 0", .stacked = true};
    for (std::size_t phase = 0; phase < kStepPhases.size(); ++phase) {
      ChartLine line =
          progress_line(runs_[0], ProgressSeries::kNumbers.size() + phase, ProgressSeries::kColumns, false);
      if (std::ranges::none_of(line.y, [](double y) { return y > 0; })) continue;
      for (double& y : line.y) y *= 1000;
      line.label = phase_text(phase);
      line.colour = phase_colour(phase);
      chart.lines.push_back(std::move(line));
    }
    charts_.push_back(std::move(chart));
  }

  void name_line(Chart& chart, std::size_t run) const {
    chart.lines.back().colour = run % kColours;
    if (runs_.size() > 1) chart.lines.back().label = names_[run];
  }

  const Runs& runs_;
  std::vector<std::string> names_;
  std::vector<Chart> charts_;
};

json data_of(const Runs& runs, const std::vector<Chart>& charts) {
  json data = {{"charts", json::array()}, {"runs", json::array()}};
  const auto numbers = [](const std::vector<double>& values) {
    json list = json::array();
    for (const double value : values) list.push_back(std::isfinite(value) ? json(value) : json());
    return list;
  };
  for (const Chart& chart : charts) {
    json lines = json::array();
    for (const ChartLine& line : chart.lines) {
      if (!line.x.empty()) lines.push_back({{"label", line.label}, {"x", numbers(line.x)}, {"y", numbers(line.y)}});
    }
    if (!lines.empty()) {
      data["charts"].push_back({{"id", chart.id}, {"title", chart.title}, {"x", chart.x}, {"lines", lines}});
    }
  }
  for (const RunHistory& run : runs) {
    json final_metrics = json::object();
    for (const auto& [name, value] : run.final_metrics) final_metrics[name] = json_number(value);
    data["runs"].push_back({{"path", run.path().string()},
                            {"state", state_text(run)},
                            {"final", final_metrics},
                            {"lines_each", run.progress.lines_each()}});
  }
  return data;
}

// Within an element of HTML nothing of it may look like the element's end.
std::string script_text(const json& data) {
  std::string text;
  for (const char c : data.dump()) c == '<' ? text += "\\u003c" : text += c;
  return text;
}

std::string page_head(const std::string& title) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
         "script-src 'unsafe-inline'; img-src data:\"><title>" +
         html_text(title) + "</title><style>" + kReportStyle + "</style></head>\n<body><main>\n";
}

}  // namespace

std::string report_page(const Runs& runs) {
  const Charts charts(runs);
  const bool one = runs.size() == 1;
  const std::string title = one ? names_of(runs).front() : std::to_string(runs.size()) + " runs compared";
  std::string page = page_head(title) + (one ? run_header(runs[0]) : comparison_header(runs));
  page += "<div class=\"grid2\">\n";
  for (const Chart& chart : charts.all()) page += html_of(chart);
  if (one) page += rank_card(runs[0]) + memory_card(runs[0]) + matrix_cards(runs[0]) + pictures_card(runs[0]);
  if (!one) page += steps_card(runs);
  page += "</div>\n";
  if (one) page += evaluations_part(runs[0]) + facts_part(runs[0]);
  page += "<script type=\"application/json\" id=\"data\">" + script_text(data_of(runs, charts.all())) +
          "</script>\n<script>" + kReportScript + "</script>\n</main></body></html>\n";
  return page;
}

}  // namespace lockstep

#include "engine/report/ReportParts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <utility>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/report/Base64.h"
#include "engine/report/Chart.h"
#include "engine/report/RunRows.h"
#include "job/Hyperparameters.h"

namespace lockstep {

namespace {

constexpr std::size_t kMostRanks = 24;
constexpr std::size_t kMostEvaluations = 200;
constexpr std::size_t kMostPictureBytes = std::size_t{500} << 10;
constexpr std::size_t kMostMatrix = 40;
constexpr double kStragglerShare = 0.10;

// A cell with the whole number for programs, and what people read of it.
std::string number_cell(double value, const char* classes = "n") {
  return format("<td class=\"%s\" data-value=\"%.17g\">", classes, value) + short_number(value) + "</td>";
}

std::string time_text(double seconds) {
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (seconds < 10) return format("%.2f s", seconds);
  if (whole < 60) return format("%lld s", whole);
  if (whole < 3600) return format("%lld min %02lld s", whole / 60, whole % 60);
  return format("%lld h %02lld min", whole / 3600, whole / 60 % 60);
}

std::string bytes_text(double bytes) {
  constexpr double kMebi = 1024.0 * 1024;
  return bytes >= 1024 * kMebi ? format("%.2f GiB", bytes / (1024 * kMebi)) : format("%.1f MiB", bytes / kMebi);
}

std::optional<double> value_in(const Metrics& metrics, const std::string& name) {
  const auto found = std::ranges::find_if(metrics, [&](const auto& entry) { return entry.first == name; });
  return found == metrics.end() ? std::nullopt : std::optional(found->second);
}

// The mean over all steps so far.
double progress_mean(const RunHistory& run, std::size_t column) {
  ProgressSeries::Cell all;
  for (const auto& point : run.progress.points()) all.add(point.cells[column]);
  return all.mean();
}

double own_seconds(const RankUse& rank) { return rank.seconds.data_wait + rank.seconds.forward; }

double step_seconds(const StepSeconds& seconds) {
  double sum = 0;
  for (const StepPhase& phase : kStepPhases) sum += seconds.*phase.seconds;
  return sum;
}

std::string tile(const std::string& value, const std::string& name) {
  return "<div class=\"tile\"><b>" + value + "</b><span>" + html_text(name) + "</span></div>\n";
}

// What the run came to, or how far it is.
Metrics latest_metrics(const RunHistory& run) {
  if (!run.final_metrics.empty()) return run.final_metrics;
  return run.evaluations.empty() ? Metrics() : run.evaluations.back().metrics;
}

std::int64_t last_step(const RunHistory& run) {
  std::int64_t step = run.progress.points().empty() ? 0 : run.progress.points().back().step;
  if (!run.evaluations.empty()) step = std::max(step, run.evaluations.back().step);
  return step;
}

// Whether it says how fast a run was, not how good.
bool is_of_speed(const std::string& name) {
  return name.ends_with("_per_second") || name == "seconds" || name == "data_wait_share" || name.starts_with("tflops");
}

std::string tiles(const RunHistory& run) {
  std::string html = "<div class=\"tiles\">\n";
  for (const auto& [name, value] : latest_metrics(run)) {
    if (!is_of_speed(name)) html += tile(short_number(value), name);
  }
  html += tile(with_commas(last_step(run)) +
                   (run.total_steps > 0 ? "<small> / " + with_commas(run.total_steps) + "</small>" : ""),
               "steps");
  const auto rate = value_in(run.final_metrics, "samples_per_second");
  const double mean_rate = rate ? *rate : progress_mean(run, 2);
  if (std::isfinite(mean_rate)) html += tile(short_number(std::round(mean_rate)), "samples per second");
  if (const auto share = value_in(run.final_metrics, "data_wait_share")) {
    html += tile(format("%.1f %%", 100 * *share), "of training time waits for data");
  } else if (const double wait = progress_mean(run, ProgressSeries::kNumbers.size()); std::isfinite(wait)) {
    double all = 0;
    for (std::size_t i = 0; i < kStepPhases.size(); ++i) all += progress_mean(run, ProgressSeries::kNumbers.size() + i);
    if (all > 0) html += tile(format("%.1f %%", 100 * wait / all), "of training time waits for data");
  }
  if (const auto seconds = value_in(run.final_metrics, "seconds")) html += tile(time_text(*seconds), "the whole run");
  return html + "</div>\n";
}

std::string table_of(const Rows& rows) {
  std::string html = "<table class=\"facts\">";
  for (const auto& [name, value] : rows) {
    html += "<tr><th>" + html_text(name) + "</th><td>" + html_text(value) + "</td></tr>\n";
  }
  return html + "</table>";
}

// First those that are not what they are when nobody gives them.
std::pair<Rows, Rows> split_by_default(const Rows& hyperparameters) {
  std::map<std::string, std::string> defaults;
  for (const HyperparameterDescription& row : describe_hyperparameters()) defaults[row.name] = row.default_value;
  std::pair<Rows, Rows> rows;
  for (const auto& row : hyperparameters) {
    const auto known = defaults.find(row.first);
    (known != defaults.end() && known->second == row.second ? rows.second : rows.first).push_back(row);
  }
  return rows;
}

std::string value_of(const Rows& rows, const std::string& name) {
  const auto found = std::ranges::find_if(rows, [&](const auto& row) { return row.first == name; });
  return found == rows.end() ? "" : found->second;
}

// Hyperparameters of which runs have several values.
std::vector<std::string> differing(const std::vector<RunHistory>& runs) {
  std::vector<std::string> names;
  for (const auto& [name, value] : runs.front().hyperparameters) {
    if (std::ranges::any_of(runs,
                            [&](const RunHistory& run) { return value_of(run.hyperparameters, name) != value; })) {
      names.push_back(name);
    }
  }
  return names;
}

// All that runs came to, each name once; for a narrow screen, what matters most comes first.
std::vector<std::string> result_names(const std::vector<RunHistory>& runs) {
  std::vector<std::string> names;
  for (const RunHistory& run : runs) {
    for (const auto& [name, value] : latest_metrics(run)) {
      if (std::ranges::count(names, name) == 0) names.push_back(name);
    }
  }
  std::ranges::stable_partition(names, [](const std::string& name) { return !is_of_speed(name); });
  return names;
}

// `name` is HTML.
std::string step_bar(const std::string& name, const StepSeconds& step, double longest) {
  std::string html = "<span>" + name + "</span><span class=\"bar\">";
  for (std::size_t i = 0; i < kStepPhases.size(); ++i) {
    const double seconds = step.*kStepPhases[i].seconds;
    if (seconds <= 0) continue;
    html += format("<i class=\"c%zu\" style=\"width:%.2f%%\" title=\"%s %.3g ms\"></i>", phase_colour(i),
                   100 * seconds / longest, phase_text(i).c_str(), 1000 * seconds);
  }
  const double all = step_seconds(step);
  return html + format("</span><span class=\"value\" data-value=\"%.17g\">%.3g ms</span>\n", all, 1000 * all);
}

// Which colour is which phase, of those that some step has.
std::string phase_keys(const std::vector<StepSeconds>& steps) {
  std::string html = "<div class=\"keys\">";
  for (std::size_t i = 0; i < kStepPhases.size(); ++i) {
    if (std::ranges::none_of(steps, [&](const StepSeconds& step) { return step.*kStepPhases[i].seconds > 0; }))
      continue;
    html += format("<span class=\"c%zu\">", phase_colour(i)) + phase_text(i) + "</span>";
  }
  return html + "</div>";
}

double longest_of(const std::vector<StepSeconds>& steps) {
  double longest = 0;
  for (const StepSeconds& step : steps) longest = std::max(longest, step_seconds(step));
  return longest;
}

std::string straggler_text(const std::vector<RankUse>& ranks) {
  if (ranks.size() < 2) return "";
  if (std::ranges::any_of(ranks, [](const RankUse& rank) { return rank.seconds.device_wait > 0; })) {
    return "On a GPU these are the times that hosts took to enqueue and to wait: they do not tell which card is slow.";
  }
  std::vector<double> own;
  for (const RankUse& rank : ranks) own.push_back(own_seconds(rank));
  const auto slowest = static_cast<std::size_t>(std::ranges::max_element(own) - own.begin());
  std::vector<double> sorted = own;
  std::ranges::sort(sorted);
  const double median = (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]) / 2;
  const double more = median > 0 ? own[slowest] / median - 1 : 0;
  if (more < kStragglerShare) {
    return "No rank stands out: for data and forward, which no rank waits in for others, the slowest takes " +
           format("%.0f %%", 100 * more) + " more than the median.";
  }
  return "Straggler: for data and forward, rank " + std::to_string(slowest) + " takes " +
         format("%.0f %%", 100 * more) + " more than the median, and the others wait for it.";
}

std::string matrix_card(const std::string& name, const std::vector<std::vector<double>>& rows,
                        const std::vector<std::string>& labels) {
  const std::size_t classes = rows.size();
  std::string html = "<div class=\"card\"><h3>" + html_text(name) +
                     "<span>rows: true class, columns: predicted; colour: share of the row</span></h3>";
  if (classes > kMostMatrix) {
    return html + "<p class=\"remark\">" + std::to_string(classes) +
           " classes: the numbers are in metrics.jsonl.</p></div>\n";
  }
  html += "<div class=\"wide\"><table class=\"matrix\"><tr><th></th>";
  for (std::size_t i = 0; i < classes; ++i) html += "<th>" + html_text(class_name(labels, i)) + "</th>";
  html += "</tr>\n";
  for (std::size_t i = 0; i < classes; ++i) {
    const double sum = std::accumulate(rows[i].begin(), rows[i].end(), 0.0);
    html += "<tr><th>" + html_text(class_name(labels, i)) + "</th>";
    for (std::size_t j = 0; j < rows[i].size(); ++j) {
      const double share = sum > 0 ? rows[i][j] / sum : 0;
      html +=
          format("<td data-value=\"%.17g\" style=\"background:color-mix(in srgb,var(--%s) %.0f%%,transparent)%s\">",
                 rows[i][j], i == j ? "c0" : "c1", 100 * std::sqrt(share), share > 0.45 ? ";color:var(--card)" : "") +
          (rows[i][j] == 0 ? "" : short_number(rows[i][j])) + "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</table></div></div>\n";
}

/// Width and height of a PNG; nothing of other bytes.
std::optional<std::pair<std::int64_t, std::int64_t>> png_size(const std::string& png) {
  if (png.size() < 24 || !png.starts_with("\x89PNG")) return std::nullopt;
  const auto number = [&](std::size_t at) {
    std::int64_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(png[at + i]);
    return value;
  };
  return std::pair(number(16), number(20));
}

std::optional<std::string> read_picture(const RunHistory& run) {
  const std::filesystem::path path = run.path().parent_path() / std::filesystem::path(run.picture).filename();
  try {
    return read_file(path, kMostPictureBytes);
  } catch (const InputError&) {
    return std::nullopt;
  }
}

}  // namespace

std::vector<std::string> names_of(const std::vector<RunHistory>& runs) {
  std::vector<std::string> names;
  for (const RunHistory& run : runs) {
    const std::string about = value_of(run.job, "lockstep");
    const std::size_t job = about.find(", job ");
    std::error_code error;
    const std::filesystem::path directory = std::filesystem::absolute(run.path(), error).parent_path();
    // A job's output directory has its data in a directory of that name.
    const std::filesystem::path named = directory.filename() == "data" ? directory.parent_path() : directory;
    std::string name = job != std::string::npos ? about.substr(job + 6) : named.filename().string();
    if (name == "output" && runs.size() > 1) name = named.parent_path().filename().string();
    names.push_back(name);
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (std::ranges::count(names, names[i]) > 1) names[i] += " (" + std::to_string(i + 1) + ")";
  }
  return names;
}

std::string state_text(const RunHistory& run) {
  switch (run.state) {
    case RunHistory::State::kRunning:
      return "was running when this was written";
    case RunHistory::State::kEnded:
      return "finished";
    case RunHistory::State::kStopped:
      return "stopped on request";
    case RunHistory::State::kFailed:
      break;
  }
  return "failed";
}

std::string phase_text(std::size_t phase) {
  std::string text = kStepPhases.at(phase).name;
  std::ranges::replace(text, '_', ' ');
  return text;
}

std::size_t phase_colour(std::size_t phase) {
  constexpr std::array<std::size_t, kStepPhases.size()> kColours{1, 0, 3, 5, 2, 6, 4};
  return kColours.at(phase);
}

std::string run_header(const RunHistory& run) {
  std::string html = "<header><h1>" + html_text(names_of({run}).front()) + "</h1><p>" + state_text(run);
  if (!run.started.empty()) html += ", started " + html_text(run.started);
  if (!run.resumed.empty()) html += ", resumed after step " + join(run.resumed, ", ");
  for (const char* name : {"program", "ranks"}) {
    if (const std::string value = value_of(run.job, name); !value.empty()) {
      html += " · " + html_text((std::string(name) == "ranks" ? "ranks: " : "") + value);
    }
  }
  html += "</p>";
  if (!run.error.empty()) html += "<p class=\"failed\">" + html_text(run.error) + "</p>";
  return html + tiles(run) + "</header>\n";
}

std::string comparison_header(const std::vector<RunHistory>& runs) {
  const std::vector<std::string> names = names_of(runs);
  const std::vector<std::string> results = result_names(runs);
  const std::vector<std::string> differences = differing(runs);
  std::string html = "<header><h1>" + std::to_string(runs.size()) +
                     " runs compared</h1></header><div class=\"card wide\" style=\"margin-top:16px\"><table><thead><tr>"
                     "<th>run</th><th>state</th><th class=\"n\">steps</th>";
  for (const std::string& name : results) html += "<th class=\"n\">" + html_text(name) + "</th>";
  for (const std::string& name : differences) html += "<th>" + html_text(name) + "</th>";
  html += "</tr></thead>\n";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    html += format("<tr><td class=\"dot c%zu\">", i % 8) + html_text(names[i]) + "</td><td>" + state_text(runs[i]) +
            "</td>" + number_cell(static_cast<double>(last_step(runs[i])));
    const Metrics metrics = latest_metrics(runs[i]);
    for (const std::string& name : results) {
      const auto value = value_in(metrics, name);
      html += value ? number_cell(*value) : "<td class=\"n\">–</td>";
    }
    for (const std::string& name : differences)
      html += "<td>" + html_text(value_of(runs[i].hyperparameters, name)) + "</td>";
    html += "</tr>\n";
  }
  html += "</table>";
  if (differences.empty()) html += "<p class=\"remark\">The runs have the same hyperparameters.</p>";
  return html + "</div>\n";
}

std::string rank_card(const RunHistory& run) {
  std::vector<StepSeconds> steps;
  for (const RankUse& rank : run.ranks) steps.push_back(rank.seconds);
  const double longest = longest_of(steps);
  if (longest <= 0) return "";
  std::string html = "<div class=\"card\" id=\"ranks\"><h3>A step by rank<span>mean of " +
                     with_commas(run.ranks.front().steps) + " steps</span></h3>" + phase_keys(steps) +
                     "<div class=\"bars\">\n";
  std::vector<std::size_t> order(run.ranks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const bool some = order.size() > kMostRanks;
  if (some) {
    std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return own_seconds(run.ranks[i]); });
    order.resize(kMostRanks);
  }
  for (const std::size_t rank : order) {
    const int host = run.ranks[rank].host;
    html +=
        step_bar("rank " + std::to_string(rank) + (host > 0 ? " <small>host " + std::to_string(host) + "</small>" : ""),
                 steps[rank], longest);
  }
  html += "</div>";
  if (some) {
    html += "<p class=\"remark\">The " + std::to_string(kMostRanks) + " slowest of " +
            std::to_string(run.ranks.size()) + " ranks, by data and forward.</p>";
  }
  if (const std::string text = straggler_text(run.ranks); !text.empty()) html += "<p class=\"remark\">" + text + "</p>";
  return html + "</div>\n";
}

std::string steps_card(const std::vector<RunHistory>& runs) {
  std::vector<StepSeconds> steps(runs.size());
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (std::size_t phase = 0; phase < kStepPhases.size(); ++phase) {
      const double mean = progress_mean(runs[i], ProgressSeries::kNumbers.size() + phase);
      if (std::isfinite(mean)) steps[i].*kStepPhases[phase].seconds = mean;
    }
  }
  const double longest = longest_of(steps);
  if (longest <= 0) return "";
  std::string html = "<div class=\"card\" id=\"steps\"><h3>A step by run<span>mean, on rank 0</span></h3>" +
                     phase_keys(steps) + "<div class=\"bars\">\n";
  const std::vector<std::string> names = names_of(runs);
  for (std::size_t i = 0; i < runs.size(); ++i) html += step_bar(html_text(names[i]), steps[i], longest);
  return html + "</div></div>\n";
}

std::string memory_card(const RunHistory& run) {
  std::vector<std::pair<std::string, double>> uses;
  for (const MemoryRow& row : rows_of(run.memory)) uses.emplace_back(row.what, row.bytes);
  std::int64_t peak = 0;
  for (const RankUse& rank : run.ranks) peak = std::max(peak, rank.peak_memory);
  if (peak > 0) uses.emplace_back(run.ranks.size() > 1 ? "most of any rank" : "most of the process", peak);
  double longest = 0;
  for (const auto& [name, bytes] : uses) longest = std::max(longest, bytes);
  if (longest <= 0) return "";
  std::string html = "<div class=\"card\" id=\"memory\"><h3>Memory<span>of each rank</span></h3><div class=\"bars\">\n";
  for (const auto& [name, bytes] : uses) {
    html += "<span>" + name + "</span><span class=\"bar\">" +
            format("<i class=\"c0\" style=\"width:%.2f%%\"></i></span><span class=\"value\" data-value=\"%.17g\">",
                   100 * bytes / longest, bytes) +
            bytes_text(bytes) + "</span>\n";
  }
  return html + "</div></div>\n";
}

std::string matrix_cards(const RunHistory& run) {
  std::string html;
  for (const auto& [name, rows] : run.tables) {
    if (name.find("confusion_matrix") != std::string::npos) html += matrix_card(name, rows, run.labels);
  }
  return html;
}

std::string pictures_card(const RunHistory& run) {
  if (run.picture.empty() || run.images.columns < 1) return "";
  const std::optional<std::string> png = read_picture(run);
  const auto size = png ? png_size(*png) : std::nullopt;
  if (!size) return "";
  const std::int64_t columns = run.images.columns;
  const auto count = static_cast<std::int64_t>(run.images.labels.size());
  const std::int64_t rows = (count + columns - 1) / columns;
  const double width = static_cast<double>((size->first + 1) / columns - 1);
  const double height = static_cast<double>((size->second + 1) / std::max<std::int64_t>(rows, 1) - 1);
  if (width < 1 || height < 1) return "";
  const auto share = [](double offset, double rest) { return rest > 0 ? 100 * offset / rest : 0; };
  std::string html =
      "<div class=\"card\" id=\"pictures\"><h3>Samples of " + html_text(run.images.channel) +
      "<span>with their classes</span></h3><style>.pictures i{display:block;width:100%;border-radius:3px;"
      "image-rendering:pixelated;background-image:url(data:image/png;base64," +
      base64(*png) +
      format(");aspect-ratio:%g/%g;background-size:%.4f%% %.4f%%}</style>", width, height,
             100 * static_cast<double>(size->first) / width, 100 * static_cast<double>(size->second) / height) +
      format("<div class=\"pictures\" style=\"grid-template-columns:repeat(%lld,1fr)\">\n",
             static_cast<long long>(columns));
  for (std::int64_t i = 0; i < count; ++i) {
    const double left = static_cast<double>(i % columns) * (width + 1);
    const double top = static_cast<double>(i / columns) * (height + 1);
    html += format("<div><i style=\"background-position:%.4f%% %.4f%%\"></i>",
                   share(left, static_cast<double>(size->first) - width),
                   share(top, static_cast<double>(size->second) - height)) +
            html_text(run.images.labels[static_cast<std::size_t>(i)]) + "</div>\n";
  }
  return html + "</div></div>\n";
}

std::string evaluations_part(const RunHistory& run) {
  if (run.evaluations.empty()) return "";
  std::vector<std::string> names;
  for (const EvaluationLine& evaluation : run.evaluations) {
    for (const auto& [name, value] : evaluation.metrics) {
      if (std::ranges::count(names, name) == 0) names.push_back(name);
    }
  }
  // What matters most comes first, for a narrow screen.
  std::ranges::stable_partition(names, [](const std::string& name) { return name != "train_samples_per_second"; });
  const std::size_t all = run.evaluations.size();
  const std::size_t first = all > kMostEvaluations ? all - kMostEvaluations : 0;
  std::string html = "<h2>Evaluations</h2>";
  if (first > 0) {
    html += "<p class=\"remark\">The last " + std::to_string(kMostEvaluations) + " of " + std::to_string(all) + ".</p>";
  }
  html +=
      "<div class=\"card wide\"><table id=\"evaluations\"><thead><tr><th class=\"n\">epoch</th><th "
      "class=\"n\">step</th>";
  for (const std::string& name : names) html += "<th class=\"n\">" + html_text(name) + "</th>";
  html += "</tr></thead>\n";
  for (std::size_t i = first; i < all; ++i) {
    const EvaluationLine& evaluation = run.evaluations[i];
    html +=
        "<tr>" + number_cell(static_cast<double>(evaluation.epoch)) + number_cell(static_cast<double>(evaluation.step));
    for (const std::string& name : names) {
      const auto value = value_in(evaluation.metrics, name);
      html += value ? number_cell(*value) : "<td class=\"n\">–</td>";
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string facts_part(const RunHistory& run) {
  std::string html = "<div class=\"grid2\"><div><h2>Job</h2><div class=\"card\">" + table_of(run.job) + "</div></div>";
  if (!run.result.empty()) html += "<div><h2>Result</h2><div class=\"card\">" + table_of(run.result) + "</div></div>";
  if (!run.hyperparameters.empty()) {
    const auto [given, usual] = split_by_default(run.hyperparameters);
    html += "<div><h2>Hyperparameters</h2><div class=\"card\">" +
            (given.empty() ? "<p class=\"remark\">All have their defaults.</p>" : table_of(given)) +
            "<details><summary>" + std::to_string(usual.size()) + " more, with their defaults</summary>" +
            table_of(usual) + "</details></div></div>";
  }
  return html + "</div>\n";
}

}  // namespace lockstep

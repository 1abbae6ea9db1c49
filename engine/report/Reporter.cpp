#include "engine/report/Reporter.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/Text.h"

namespace lockstep {

using nlohmann::json;

namespace {

constexpr double kRedrawSeconds = 0.2;

double seconds(std::chrono::steady_clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string clock_text(double seconds) {
  const auto whole = static_cast<long long>(std::llround(seconds));
  return whole >= 3600 ? format("%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60)
                       : format("%lld:%02lld", whole / 60, whole % 60);
}

void print_rows(std::FILE* out, const Rows& rows) {
  std::size_t width = 0;
  for (const auto& [name, value] : rows) width = std::max(width, name.size());
  for (const auto& [name, value] : rows) {
    std::fprintf(out, "  %-*s  %s\n", static_cast<int>(width), name.c_str(), value.c_str());
  }
  std::fflush(out);
}

// JSON has no NaN and no infinity.
json number(double value) { return std::isfinite(value) ? json(value) : json(format("%g", value)); }

// Six significant digits without an exponent, which `([0-9.]+)` would read wrongly.
std::string decimal(double value) {
  if (!std::isfinite(value) || value == 0) return format("%g", value);
  const int digits = std::clamp(5 - static_cast<int>(std::floor(std::log10(std::abs(value)))), 0, 15);
  std::string text = format("%.*f", digits, value);
  if (digits > 0) text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

json row_object(const Rows& rows) {
  json object = json::object();
  for (const auto& [name, value] : rows) object[name] = value;
  return object;
}

}  // namespace

Reporter::Reporter(std::FILE* out, bool terminal, double seconds_between_lines, MetricsFile metrics)
    : out_(out), terminal_(terminal), seconds_between_lines_(seconds_between_lines), metrics_(std::move(metrics)) {}

void Reporter::end_line() {
  if (line_open_) std::fputc('\n', out_);
  line_open_ = false;
}

void Reporter::header(const Rows& rows) {
  print_rows(out_, rows);
  metrics_.write({{"event", "start"}, {"job", row_object(rows)}});
}

void Reporter::progress(const Progress& progress) {
  const auto now = Clock::now();
  if (std::exchange(paused_, false)) {
    last_step_ = last_line_ = now;
    samples_since_line_ = 0;
    return;
  }
  samples_since_line_ += progress.batch_size;
  ++timed_steps_;
  timed_seconds_ += seconds(now - std::exchange(last_step_, now));
  const double elapsed = seconds(now - last_line_);
  const bool last_of_epoch = progress.step == progress.steps;
  if (elapsed < (terminal_ ? kRedrawSeconds : seconds_between_lines_) && !(terminal_ && last_of_epoch)) return;
  const double left = timed_seconds_ / static_cast<double>(timed_steps_) *
                      static_cast<double>(progress.total_steps - progress.global_step);
  const double rate = static_cast<double>(samples_since_line_) / std::max(elapsed, 1e-9);
  std::fprintf(out_, "%sepoch %lld/%lld  step %lld/%lld  loss %.4f  lr %.3g  %s samples/s  %s left%s",
               terminal_ ? "\r\x1b[K" : "", static_cast<long long>(progress.epoch),
               static_cast<long long>(progress.epochs), static_cast<long long>(progress.step),
               static_cast<long long>(progress.steps), progress.loss, progress.learning_rate,
               with_commas(std::llround(rate)).c_str(), clock_text(left).c_str(), terminal_ ? "" : "\n");
  line_open_ = terminal_;
  std::fflush(out_);
  metrics_.write({{"event", "progress"},
                  {"epoch", progress.epoch},
                  {"step", progress.global_step},
                  {"train_loss", number(progress.loss)},
                  {"learning_rate", progress.learning_rate},
                  {"samples_per_second", number(rate)}});
  last_line_ = now;
  samples_since_line_ = 0;
}

void Reporter::metrics(const std::string& event, std::int64_t epoch, std::int64_t global_step, const Metrics& metrics) {
  end_line();
  paused_ = true;
  std::fprintf(out_, "epoch=%lld step=%lld", static_cast<long long>(epoch), static_cast<long long>(global_step));
  json line = {{"event", event}, {"epoch", epoch}, {"step", global_step}};
  for (const auto& [name, value] : metrics) {
    std::fprintf(out_, " %s=%s", name.c_str(), decimal(value).c_str());
    line[name] = number(value);
  }
  std::fputc('\n', out_);
  std::fflush(out_);
  metrics_.write(line);
}

void Reporter::note(const std::string& text) {
  end_line();
  std::fprintf(out_, "%s\n", text.c_str());
  std::fflush(out_);
}

void Reporter::summary(const Rows& rows) {
  end_line();
  print_rows(out_, rows);
  metrics_.write({{"event", "end"}, {"job", row_object(rows)}});
}

}  // namespace lockstep

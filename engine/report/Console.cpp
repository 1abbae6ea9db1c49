#include "engine/report/Console.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "common/Text.h"
#include "engine/report/RunRows.h"

namespace lockstep {

namespace {

std::string clock_text(double seconds) {
  const auto whole = static_cast<long long>(std::llround(seconds));
  return whole >= 3600 ? format("%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60)
                       : format("%lld:%02lld", whole / 60, whole % 60);
}

// Six significant digits without an exponent, which `(-?[0-9.]+)` would read wrongly.
std::string decimal(double value) {
  if (!std::isfinite(value) || value == 0) return format("%g", value);
  const int digits = std::clamp(5 - static_cast<int>(std::floor(std::log10(std::abs(value)))), 0, 15);
  std::string text = format("%.*f", digits, value);
  if (digits > 0) text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string count_text(std::int64_t done, std::int64_t of) { return std::to_string(done) + "/" + std::to_string(of); }

std::string plain_line(const StepDone& event, const Speed& speed) {
  return "epoch " + count_text(event.epoch, event.epochs) + "  step " + count_text(event.step, event.steps) +
         format("  loss %.4f  lr %.3g  ", event.loss, event.learning_rate) +
         with_commas(std::llround(speed.samples_per_second)) + " samples/s  " + clock_text(speed.seconds_left) +
         " left";
}

// How much of the job is done, as a bar. The line fits into 80 columns, for one that is wider could not be redrawn.
std::string bar_line(const StepDone& event, const Speed& speed) {
  constexpr std::int64_t kWidth = 16;
  const std::int64_t done = event.global_step * kWidth / std::max<std::int64_t>(1, event.total_steps);
  std::string bar;
  for (std::int64_t i = 0; i < kWidth; ++i) bar += i < done ? "━" : "─";
  return bar +
         format(" %3.0f %%", 100.0 * static_cast<double>(event.global_step) /
                                 static_cast<double>(std::max<std::int64_t>(1, event.total_steps))) +
         "  " + count_text(event.global_step, event.total_steps) + format("  loss %.4g  ", event.loss) +
         with_commas(std::llround(speed.samples_per_second)) +
         format("/s  data %.0f %%  ", 100 * speed.data_wait_share) + clock_text(speed.seconds_left) + " left";
}

}  // namespace

Console::Console(std::FILE* out, bool terminal, double seconds_between_lines, std::string metrics_file)
    : out_(out), terminal_(terminal), metrics_file_(std::move(metrics_file)), meter_(terminal, seconds_between_lines) {}

void Console::end_line() {
  if (line_open_) std::fputc('\n', out_);
  line_open_ = false;
}

void Console::print_line(const std::string& text) {
  end_line();
  std::fprintf(out_, "%s\n", text.c_str());
  std::fflush(out_);
}

void Console::print_rows(const Rows& rows) {
  end_line();
  std::size_t width = 0;
  for (const auto& [name, value] : rows) width = std::max(width, name.size());
  for (const auto& [name, value] : rows) {
    std::fprintf(out_, "  %-*s  %s\n", static_cast<int>(width), name.c_str(), value.c_str());
  }
  std::fflush(out_);
}

void Console::print_metrics(std::int64_t epoch, std::int64_t global_step, const Metrics& metrics) {
  meter_.evaluated();
  std::string line = format("epoch=%lld step=%lld", static_cast<long long>(epoch), static_cast<long long>(global_step));
  for (const auto& [name, value] : metrics) line += " " + name + "=" + decimal(value);
  print_line(line);
}

void Console::run_started(const RunStarted& event) {
  Rows rows = rows_of(event);
  rows.emplace_back("metrics", metrics_file_);
  print_rows(rows);
}

void Console::step_done(const StepDone& event) {
  if (const std::optional<Speed> speed = meter_.step_done(event)) {
    std::fputs((terminal_ ? "\r\x1b[K" + bar_line(event, *speed) : plain_line(event, *speed) + "\n").c_str(), out_);
    line_open_ = terminal_;
    std::fflush(out_);
  }
  if (event.skipped) {
    print_line("step " + std::to_string(event.global_step) +
               " is skipped: its gradient overflowed; the loss scale is now " +
               format("%g", event.loss_scale.value_or(1)));
  }
  if (event.weightless) {
    print_line("step " + std::to_string(event.global_step) +
               " changes nothing: all of its labels are ignored or weigh 0");
  }
}

void Console::evaluated(const Evaluated& event) { print_metrics(event.epoch, event.global_step, metrics_of(event)); }

void Console::checkpoint_saved(const CheckpointSaved& event) {
  meter_.saved(event);
  print_line(
      "checkpoint " + event.path.string() + format(", written in %.2f s", event.seconds) +
      (event.stall < event.seconds ? format(" beside training, which stood still for %.3f s", event.stall) : ""));
  for (const std::string& text : event.not_pruned) {
    print_line("WARNING: older checkpoints take up room: " + text);
  }
}

void Console::straggler(const Straggler& event) {
  print_line(format("WARNING: rank %d on %s is slow: for a step it needs %.1f times what the median rank does",
                    event.rank, event.host.c_str(), event.factor));
}

void Console::note(const Note& event) { print_line((event.warning ? "WARNING: " : "") + event.text); }

void Console::run_ended(const RunEnded& event) {
  print_metrics(event.state_epoch, event.state_step, metrics_of(event));
  print_rows(rows_of(event));
}

void Console::run_failed(const RunFailed& /*event*/) {
  end_line();
  std::fflush(out_);
}

}  // namespace lockstep

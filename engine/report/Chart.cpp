#include "engine/report/Chart.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "common/Text.h"

namespace lockstep {

namespace {

constexpr double kHeight = 220;      // pixels of a plot; its width is that of the page
constexpr double kLabelHeight = 17;  // pixels
constexpr double kSpan = 1000;       // of a plot's own coordinates
constexpr double kSmallest = 1e-300;

/// From the least to the most of an axis, and how values are placed on it.
struct Axis {
  double least = 0;
  double most = 1;
  bool logarithmic = false;

  // 0 … 1; what lies beyond is at the edge.
  double place(double value) const { return std::clamp(share(value), 0.0, 1.0); }
  double share(double value) const {
    if (!logarithmic) return (value - least) / (most - least);
    return (std::log10(std::max(value, kSmallest)) - std::log10(least)) / (std::log10(most) - std::log10(least));
  }
};

// 1, 2 or 5 times a power of ten, for about `count` steps.
double nice_step(double range, int count) {
  const double rough = range / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power) return factor * power;
  }
  return 10 * power;
}

std::vector<double> ticks_of(const Axis& axis, int count) {
  std::vector<double> ticks;
  if (axis.logarithmic) {
    const double from = std::ceil(std::log10(axis.least) - 1e-9);
    const double to = std::floor(std::log10(axis.most) + 1e-9);
    const double every = std::max(1.0, std::ceil((to - from) / count));
    for (double power = from; power <= to; power += every) ticks.push_back(std::pow(10, power));
    return ticks;
  }
  const double step = nice_step(axis.most - axis.least, count);
  for (double i = std::ceil(axis.least / step - 1e-9) + 0.0; i * step <= axis.most + step * 1e-9; ++i)
    ticks.push_back(i * step);
  return ticks;
}

struct Bounds {
  double least = std::numeric_limits<double>::infinity();
  double most = -std::numeric_limits<double>::infinity();

  void take(double value) {
    if (!std::isfinite(value)) return;
    least = std::min(least, value);
    most = std::max(most, value);
  }
  bool empty() const { return least > most; }
};

Axis x_axis(const Chart& chart) {
  Bounds bounds;
  for (const ChartLine& line : chart.lines) {
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      if (std::isfinite(line.y[i])) bounds.take(line.x[i]);
    }
  }
  if (bounds.least == bounds.most) return {bounds.least - 0.5, bounds.most + 0.5};
  return {bounds.least, bounds.most};
}

Axis y_axis(const Chart& chart) {
  Bounds bounds;
  for (const ChartLine& line : chart.lines) std::ranges::for_each(line.y, [&](double y) { bounds.take(y); });
  constexpr double kManyfold = 100;
  if (!chart.stacked && !chart.from_zero && bounds.least > 0 && bounds.most / bounds.least > kManyfold) {
    return {bounds.least / 1.2, bounds.most * 1.2, true};
  }
  if (chart.stacked || chart.from_zero) bounds.take(0);
  const double room =
      bounds.most > bounds.least ? 0.05 * (bounds.most - bounds.least) : std::max(std::abs(bounds.most) * 0.1, 1e-9);
  const double below = (chart.stacked || chart.from_zero) && bounds.least >= 0 ? 0 : room;
  return {bounds.least - below, bounds.most + room};
}

// What lies one on the other: each line's y becomes the sum up to it.
Chart summed(Chart chart) {
  for (std::size_t i = 1; i < chart.lines.size(); ++i) {
    for (std::size_t p = 0; p < chart.lines[i].y.size(); ++p) chart.lines[i].y[p] += chart.lines[i - 1].y[p];
  }
  return chart;
}

std::string point_text(double x, double y) { return format("%.1f %.1f", kSpan * x, kSpan * (1 - y)); }

// A path through the points, broken where one is missing.
std::string path_of(const ChartLine& line, const std::vector<double>& y, const Axis& across, const Axis& up) {
  std::string path;
  bool open = false;
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (!std::isfinite(y[i])) {
      open = false;
      continue;
    }
    path += (open ? "L" : "M") + point_text(across.place(line.x[i]), up.place(y[i]));
    open = true;
  }
  return path;
}

// Between two lines; where one has no value, nothing is.
std::string area_of(const ChartLine& line, const std::vector<double>& low, const std::vector<double>& high,
                    const Axis& across, const Axis& up) {
  std::string there;
  std::string back;
  for (std::size_t i = 0; i < high.size(); ++i) {
    if (!std::isfinite(high[i]) || !std::isfinite(low[i])) continue;
    const double x = across.place(line.x[i]);
    there += (there.empty() ? "M" : "L") + point_text(x, up.place(high[i]));
    back.insert(0, "L" + point_text(x, up.place(low[i])));
  }
  return there.empty() ? "" : there + back + "Z";
}

std::string drawn(const Chart& chart, const Axis& across, const Axis& up) {
  std::string svg;
  for (const double tick : ticks_of(up, 4)) {
    svg += format(R"(<path class="grid" d="M0 %.1fH1000"/>)", kSpan * (1 - up.place(tick)));
  }
  std::vector<double> below;
  for (const ChartLine& line : chart.lines) {
    const std::string colour = " c" + std::to_string(line.colour % 8);
    if (chart.stacked) {
      below.resize(line.y.size(), 0.0);
      svg += "<path class=\"fill" + colour + "\" d=\"" + area_of(line, below, line.y, across, up) + "\"/>";
      below = line.y;
      continue;
    }
    if (!line.least.empty()) {
      svg += "<path class=\"band" + colour + "\" d=\"" + area_of(line, line.least, line.most, across, up) + "\"/>";
    }
    const std::string path = path_of(line, line.y, across, up);
    svg += "<path class=\"line" + colour + "\" d=\"" + path + "\"/>";
    if (!chart.points && line.y.size() > 1) continue;
    std::string dots;
    for (std::size_t i = 0; i < line.y.size(); ++i) {
      if (std::isfinite(line.y[i])) dots += "M" + point_text(across.place(line.x[i]), up.place(line.y[i])) + "h0";
    }
    svg += "<path class=\"dots" + colour + "\" d=\"" + dots + "\"/>";
  }
  return svg;
}

std::string tick_texts(const Axis& across, const Axis& up, const std::string& name) {
  std::string html;
  for (const double tick : ticks_of(up, 4)) {
    html +=
        format(R"(<span class="y" style="top:%.1f%%">)", 100 * (1 - up.place(tick))) + short_number(tick) + "</span>";
  }
  for (const double tick : ticks_of(across, 4)) {
    html +=
        format(R"(<span class="x" style="left:%.1f%%">)", 100 * across.place(tick)) + short_number(tick) + "</span>";
  }
  return html + "<span class=\"xname\">" + html_text(name) + "</span>";
}

std::size_t last_point(const ChartLine& line) {
  for (std::size_t i = line.y.size(); i > 0; --i) {
    if (std::isfinite(line.y[i - 1])) return i;
  }
  return 0;
}

// What the line or the area is called, and its last value.
std::string label_text(const Chart& chart, const ChartLine& line) {
  const std::string value = short_number(line.y[last_point(line) - 1]);
  if (chart.lines.size() == 1) return "<b>" + value + "</b>";
  return html_text(line.label) + " <b>" + value + "</b>";
}

// Labels at the ends of lines, moved apart where they would lie on each other.
std::string end_labels(const Chart& chart, const Chart& placed, const Axis& up) {
  std::vector<std::pair<double, std::size_t>> places;  // pixels from the top, of which line
  double under = 0;
  for (std::size_t i = 0; i < chart.lines.size(); ++i) {
    const std::size_t last = last_point(placed.lines[i]);
    if (last == 0) continue;
    const double own = placed.lines[i].y[last - 1];
    const double at = chart.stacked ? (under + own) / 2 : own;
    under = own;
    places.emplace_back(kHeight * (1 - up.place(at)), i);
  }
  std::ranges::sort(places);
  for (std::size_t i = 1; i < places.size(); ++i) {
    places[i].first = std::max(places[i].first, places[i - 1].first + kLabelHeight);
  }
  double lowest = kHeight;
  for (std::size_t i = places.size(); i > 0; --i) {
    places[i - 1].first = std::min(places[i - 1].first, lowest);
    lowest = places[i - 1].first - kLabelHeight;
  }
  std::string html;
  for (const auto& [top, i] : places) {
    html += format("<span class=\"end c%zu\" style=\"top:%.0fpx\">", chart.lines[i].colour % 8, top) +
            label_text(chart, chart.lines[i]) + "</span>";
  }
  return html;
}

std::string legend(const Chart& chart) {
  std::string html = "<div class=\"legend\">";
  for (const ChartLine& line : chart.lines) {
    if (last_point(line) == 0) continue;
    html += format("<span class=\"c%zu\">", line.colour % 8) + label_text(chart, line) + "</span>";
  }
  return html + "</div>";
}

std::size_t longest_label(const Chart& chart) {
  std::size_t longest = 0;
  for (const ChartLine& line : chart.lines) {
    constexpr std::size_t kRoom = 2;  // a bold digit is wider than the unit of this count
    const std::size_t value = short_number(line.y[last_point(line) - 1]).size() + kRoom;
    longest = std::max(longest, (chart.lines.size() == 1 ? 0 : line.label.size() + 1) + value);
  }
  return std::min<std::size_t>(longest, 30);
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string html;
  for (const char c : text) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

std::string short_number(double value) {
  if (!std::isfinite(value)) return format("%g", value);
  if (value == 0) return "0";
  constexpr double kWhole = 1000;
  if (std::abs(value) >= kWhole && std::abs(value) < 1e9) return with_commas(std::llround(value));
  return format("%.4g", value);
}

std::string html_of(const Chart& chart) {
  Chart shown = chart;
  std::erase_if(shown.lines, [](const ChartLine& line) { return last_point(line) == 0; });
  if (shown.lines.empty()) return "";
  const Chart placed = shown.stacked ? summed(shown) : shown;
  const Axis across = x_axis(placed);
  const Axis up = y_axis(placed);
  const std::string unit =
      shown.unit + (up.logarithmic ? (shown.unit.empty() ? "" : ", ") + std::string("logarithmic") : "");
  return "<figure class=\"card\" id=\"" + shown.id + "\"><figcaption>" + html_text(shown.title) + "<span>" +
         html_text(unit) + "</span></figcaption>" + legend(shown) +
         format("<div class=\"plot\" style=\"--labels:%zuch\">", longest_label(shown)) +
         "<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"" +
         html_text(shown.title) + "\">" + drawn(placed, across, up) + "</svg>" + tick_texts(across, up, shown.x) +
         end_labels(shown, placed, up) + "</div></figure>\n";
}

}  // namespace lockstep

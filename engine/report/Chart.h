// Charts as HTML with inline SVG.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// Text in a page.
std::string html_text(std::string_view text);
/// With four significant digits, in the form that is easiest to read: 0.9125, 12,300, 1.5e-06.
std::string short_number(double value);

/// A line of a chart. Points that are not finite are left out.
struct ChartLine {
  std::string label{};
  std::size_t colour = 0;
  std::vector<double> x{};
  std::vector<double> y{};
  std::vector<double> least{};  ///< of what is put together in each point, and the most; empty: y is all there is
  std::vector<double> most{};
};

/// Lines over one axis, or, when they are stacked, areas one on the other, all over the same x.
struct Chart {
  std::string id{};  ///< unique in the page
  std::string title{};
  std::string unit{};  ///< of y, and what else is to be said
  std::string x = "step";
  std::vector<ChartLine> lines{};
  bool stacked = false;
  bool from_zero = false;
  bool points = false;  ///< each value is marked
};

/// A figure of the page, or "" when no line has a point. All texts scale with the page's, and lines with its width.
std::string html_of(const Chart& chart);

}  // namespace lockstep

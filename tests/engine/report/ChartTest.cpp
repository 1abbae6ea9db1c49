#include "engine/report/Chart.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace lockstep {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(ShortNumber, IsReadAtAGlance) {
  EXPECT_EQ(short_number(0.91254), "0.9125");
  EXPECT_EQ(short_number(12345.6), "12,346");
  EXPECT_EQ(short_number(1.5e-6), "1.5e-06");
  EXPECT_EQ(short_number(-0.0), "0");
  EXPECT_EQ(short_number(kNan), "nan");
}

TEST(HtmlText, IsText) { EXPECT_EQ(html_text("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;"); }

TEST(Chart, WithoutPointsIsNothing) {
  EXPECT_EQ(html_of({.id = "a"}), "");
  EXPECT_EQ(html_of({.id = "a", .lines = {{.x = {1}, .y = {kNan}}}}), "");
}

TEST(Chart, IsBrokenWhereAValueIsMissing) {
  const std::string html =
      html_of({.id = "a", .lines = {{.x = {0, 1, 2, 4}, .y = {1, kNan, 1, 2}}}, .from_zero = true});
  EXPECT_TRUE(has(html, "d=\"M0.0 523.8M500.0 523.8L1000.0 47.6\"")) << html;
  EXPECT_TRUE(has(html, "<b>2</b>"));
}

TEST(Chart, OfOnePointAndOfEqualOnesHasAnExtent) {
  for (const Chart& chart :
       {Chart{.id = "a", .lines = {{.x = {3}, .y = {0}}}}, Chart{.id = "a", .lines = {{.x = {1, 2}, .y = {5, 5}}}}}) {
    const std::string html = html_of(chart);
    EXPECT_TRUE(has(html, "<path class=\"line"));
    EXPECT_FALSE(has(html, "nan")) << html;
    EXPECT_FALSE(has(html, "inf")) << html;
  }
}

TEST(Chart, IsLogarithmicOverManyPowers) {
  EXPECT_TRUE(has(html_of({.id = "a", .lines = {{.x = {1, 2}, .y = {1e-3, 10}}}}), "logarithmic"));
  EXPECT_FALSE(has(html_of({.id = "a", .lines = {{.x = {1, 2}, .y = {0, 10}}}}), "logarithmic"));
}

TEST(Chart, StacksAreas) {
  const std::string html =
      html_of({.id = "a",
               .lines = {{.label = "one", .x = {0, 1}, .y = {1, 1}}, {.label = "two", .x = {0, 1}, .y = {3, 1}}},
               .stacked = true});
  // Up to 4 + 5 %: the second area goes from 1 to 4.
  EXPECT_TRUE(has(html, "M0.0 47.6L1000.0 523.8L1000.0 761.9L0.0 761.9Z")) << html;
  EXPECT_TRUE(has(html, "one <b>1</b>"));
}

TEST(Chart, NamesAreText) {
  const std::string html = html_of(
      {.id = "a", .title = "<b>", .lines = {{.label = "<i>", .x = {0}, .y = {1}}, {.label = "j", .x = {0}, .y = {2}}}});
  EXPECT_FALSE(has(html, "<i>"));
  EXPECT_TRUE(has(html, "&lt;i&gt;"));
}

}  // namespace
}  // namespace lockstep

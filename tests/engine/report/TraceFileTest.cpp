#include "engine/report/TraceFile.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

TEST(TraceFile, HasARowForWhatHappensAtOnce) {
  const TemporaryDirectory directory;
  TraceFile(directory.path())
      .traced({.first_step = 3,
               .last_step = 3,
               .ranks = {{.spans = {{.name = "b", .kind = SpanKind::kData, .begin = 0.5, .seconds = 1},
                                    {.name = "a",
                                     .kind = SpanKind::kData,
                                     .begin = 0,
                                     .seconds = 1,
                                     .bytes = 7,
                                     .thread_seconds = 0.5},
                                    {.name = "c", .kind = SpanKind::kData, .begin = 1 - 1e-12, .seconds = 1}}},
                         {.host = 1, .spans = {{.name = "step 3", .kind = SpanKind::kStep, .begin = 0.25}}}}});
  std::ifstream file(directory / "trace.json");
  const nlohmann::json trace = nlohmann::json::parse(file);
  std::map<std::string, int> rows;
  std::map<std::pair<int, int>, std::string> names;
  for (const nlohmann::json& event : trace.at("traceEvents")) {
    if (event.at("ph") == "X") rows[event.at("name")] = event.at("tid");
    if (event.at("name") == "thread_name") names[{event.at("pid"), event.at("tid")}] = event.at("args").at("name");
    if (event.at("name") == "a") {
      EXPECT_EQ(event.at("dur"), 1e6);
      EXPECT_EQ(event.at("tdur"), 0.5e6);
      EXPECT_EQ(event.at("args").at("bytes"), 7);
    }
    if (event.at("name") == "step 3") {
      EXPECT_EQ(event.at("pid"), 1);
      EXPECT_EQ(event.at("ts"), 0.25e6);
    }
  }
  EXPECT_EQ(rows.at("a"), rows.at("c"));
  EXPECT_NE(rows.at("a"), rows.at("b"));
  EXPECT_EQ(names.at({0, rows.at("a")}), "data");
  EXPECT_EQ(names.at({0, rows.at("b")}), "data 2");
  EXPECT_EQ(names.at({1, rows.at("step 3")}), "steps");
}

}  // namespace
}  // namespace lockstep

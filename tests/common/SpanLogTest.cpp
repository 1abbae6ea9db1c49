#include "common/SpanLog.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace lockstep {
namespace {

TEST(SpanLog, KeepsWhatIsAddedWhileItIsOn) {
  SpanLog log;
  log.add({.name = "early"});
  log.start();
  EXPECT_TRUE(log.on());
  log.add({.name = "a"});
  const std::vector<Span> spans = log.stop();
  ASSERT_EQ(spans.size(), 1);
  EXPECT_EQ(spans[0].name, "a");
  log.add({.name = "late"});
  log.start();
  EXPECT_TRUE(log.stop().empty());
}

TEST(SpanLog, TakesSpansOfSeveralThreads) {
  SpanLog log;
  log.start();
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int j = 0; j < 1000; ++j) log.add({.name = "span"});
      });
    }
  }
  EXPECT_EQ(log.stop().size(), 4000);
}

TEST(SpanLog, HasAnEndAndCountsWhatComesBehindIt) {
  SpanLog log;
  log.start();
  for (std::size_t i = 0; i < SpanLog::kMost + 5; ++i) log.add({});
  EXPECT_EQ(log.stop().size(), SpanLog::kMost);
  EXPECT_EQ(log.dropped(), 5);
  log.start();
  log.add({});
  EXPECT_EQ(log.stop().size(), 1);
  EXPECT_EQ(log.dropped(), 0);
}

}  // namespace
}  // namespace lockstep

#include "engine/train/OperatorSpans.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

namespace lockstep {
namespace {

std::ptrdiff_t count(const std::vector<Span>& spans, const std::string& part) {
  return std::ranges::count_if(spans, [&](const Span& span) { return span.name.find(part) != std::string::npos; });
}

TEST(OperatorSpans, AreOfForwardAndBackward) {
  SpanLog log;
  log.start();
  const at::Tensor x = at::ones({64, 64}).requires_grad_();
  {
    const OperatorSpans spans(log);
    at::linear(x, at::ones({8, 64})).sum().backward();
  }
  at::relu(x);
  const std::vector<Span> spans = log.stop();
  EXPECT_EQ(count(spans, "aten::linear"), 1);
  EXPECT_GE(count(spans, "aten::mm"), 2);  // of linear, and of its gradient
  EXPECT_GE(count(spans, "SumBackward0"), 1);
  EXPECT_EQ(count(spans, "aten::relu"), 0);
  for (const Span& span : spans) {
    EXPECT_EQ(span.kind, SpanKind::kOperator);
    EXPECT_LE(span.begin, span.end);
    EXPECT_GT(span.thread_seconds, 0);
  }
}

TEST(OperatorSpans, LieInThoseThatCalledThem) {
  SpanLog log;
  log.start();
  {
    const OperatorSpans spans(log);
    at::linear(at::ones({4, 4}), at::ones({4, 4}));
  }
  const std::vector<Span> spans = log.stop();
  const auto named = [&](const char* name) { return *std::ranges::find(spans, name, &Span::name); };
  EXPECT_LE(named("aten::linear").begin, named("aten::mm").begin);
  EXPECT_GE(named("aten::linear").end, named("aten::mm").end);
}

TEST(OperatorSpans, AreNotOfOtherThreads) {
  SpanLog log;
  log.start();
  {
    const OperatorSpans spans(log);
    std::jthread([] { at::relu(at::ones({4})); });
  }
  EXPECT_TRUE(log.stop().empty());
}

}  // namespace
}  // namespace lockstep

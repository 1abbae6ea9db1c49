#include "engine/program/Recomputation.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/program/ActivationBytes.h"
#include "tests/support/TestGraph.h"

namespace lockstep {
namespace {

const TestGraph::Sizes kSizes = {4, 256};
constexpr double kBytes = 256 * 4;  // of a value, one sample

/// Values that follow from each other. The last one made is `last`.
class Chain {
 public:
  Chain() { graph.input("x", kSizes).parameter("w", {256, 256}); }
  std::string add(const std::string& op, std::vector<NamedArgument> more = {}) {
    std::vector<NamedArgument> inputs = {TestGraph::tensor(op.starts_with("linear") ? "input" : "self", last)};
    inputs.insert(inputs.end(), more.begin(), more.end());
    const std::string result = "v" + std::to_string(++made);
    graph.node(op, inputs, result, kSizes);
    return last = result;
  }
  std::string linear() { return add("linear.default", {TestGraph::tensor("weight", "w")}); }
  /// Returns a few numbers, which is what a loss is made of.
  Graph end() {
    graph.node("mean.dim", {TestGraph::tensor("self", last), {"dim", std::vector<std::int64_t>{1}, false}}, "y", {4});
    return graph.returns({"y"});
  }

  TestGraph graph;
  std::string last = "x";
  int made = 0;
};

bool any_again(const RecomputationPlan& plan, std::size_t begin, std::size_t end) {
  for (std::size_t node = begin; node < end; ++node) {
    if (plan.again[node]) return true;
  }
  return false;
}

// In what stretch a node runs again; -1: in none.
int stretch_of(const RecomputationPlan& plan, std::size_t node) {
  for (std::size_t i = 0; i < plan.stretches.size(); ++i) {
    if (node >= plan.stretches[i].begin && node < plan.stretches[i].end && plan.again[node]) return static_cast<int>(i);
  }
  return -1;
}

TEST(ActivationBytes, InForwardAreOfWhatIsThereAtOnce) {
  Chain chain;
  for (int i = 0; i < 20; ++i) chain.linear();
  EXPECT_EQ(forward_bytes(chain.graph.returns({"v20"})), 2 * kBytes);
  Chain residual;
  residual.linear();
  for (int i = 0; i < 5; ++i) residual.linear();
  residual.add("add.Tensor", {TestGraph::tensor("other", "v1")});
  EXPECT_EQ(forward_bytes(residual.graph.returns({residual.last})), 3 * kBytes);
}

TEST(Recomputation, OfNoneNothingRunsAgain) {
  Chain chain;
  for (int i = 0; i < 20; ++i) chain.linear();
  const RecomputationPlan plan = plan_recomputation(chain.end(), Recompute::kNone);
  EXPECT_TRUE(plan.empty());
  EXPECT_EQ(plan.nodes_again(), 0);
}

// 2√n for a chain of n alike.
TEST(Recomputation, CutsAChainWhereItsPeakIsLeast) {
  Chain chain;
  for (int i = 0; i < 64; ++i) chain.linear();
  const Graph graph = chain.end();
  const RecomputationPlan plan = plan_recomputation(graph, Recompute::kAll);
  EXPECT_DOUBLE_EQ(plan.bytes, 63 * kBytes);  // a mean saves nothing
  EXPECT_LE(plan.bytes_held, 17 * kBytes);
  EXPECT_GE(plan.stretches.size(), 4);
  EXPECT_LE(plan.stretches.size(), 12);
  // Backward begins with the last stretch, which keeps what it made.
  EXPECT_FALSE(plan.again.back());
  EXPECT_GE(plan.nodes_again(), 48);
  for (std::size_t i = 0; i + 1 < plan.stretches.size(); ++i) {
    EXPECT_LE(plan.stretches[i].end, plan.stretches[i + 1].begin);
  }
  EXPECT_NE(describe(plan, graph).find("operators run again in backward"), std::string::npos);
}

TEST(Recomputation, AutoRunsAgainWhatIsCheap) {
  Chain chain;
  for (int i = 0; i < 12; ++i) {
    chain.linear();
    chain.add("gelu.default");
    chain.add("mul.Tensor", {TestGraph::tensor("other", chain.last)});
  }
  const RecomputationPlan plan = plan_recomputation(chain.end(), Recompute::kAuto);
  ASSERT_FALSE(plan.empty());
  for (std::size_t node = 0; node < 36; node += 3) EXPECT_FALSE(plan.again[node]) << node;
  EXPECT_GE(plan.nodes_again(), 16);
  EXPECT_LT(plan.bytes_held, 0.6 * plan.bytes);
}

TEST(Recomputation, APlanThatSparesNothingIsEmpty) {
  Chain chain;
  for (int i = 0; i < 12; ++i) chain.linear();
  const Graph graph = chain.end();
  const RecomputationPlan plan = plan_recomputation(graph, Recompute::kAuto);
  EXPECT_TRUE(plan.empty());
  EXPECT_NE(describe(plan, graph).find("nothing runs again"), std::string::npos);
}

// What is written in place begins and ends in one stretch, or nothing of it runs again.
TEST(Recomputation, WhatIsWrittenInPlaceIsNotCut) {
  Chain chain;
  for (int i = 0; i < 10; ++i) {
    chain.linear();
    chain.add("relu_.default");
    chain.add("mul_.Tensor", {TestGraph::tensor("other", "w")});
  }
  const Graph graph = chain.end();
  const RecomputationPlan all = plan_recomputation(graph, Recompute::kAll);
  ASSERT_FALSE(all.empty());
  for (std::size_t node = 0; node < 30; node += 3) {
    EXPECT_EQ(stretch_of(all, node), stretch_of(all, node + 1)) << node;
    EXPECT_EQ(stretch_of(all, node), stretch_of(all, node + 2)) << node;
  }
  // Products do not run again, and what is written into them cannot.
  EXPECT_TRUE(plan_recomputation(graph, Recompute::kAuto).empty());
}

// A second name for the memory is as good.
TEST(Recomputation, AWriteThroughAViewIsAWrite) {
  Chain chain;
  for (int i = 0; i < 8; ++i) chain.linear();
  const std::string base = chain.add("sigmoid.default");  // node 8
  chain.add("view.default");
  chain.add("relu_.default");  // node 10
  chain.last = base;
  for (int i = 0; i < 8; ++i) chain.linear();
  const RecomputationPlan plan = plan_recomputation(chain.end(), Recompute::kAll);
  ASSERT_FALSE(plan.empty());
  EXPECT_EQ(stretch_of(plan, 8), stretch_of(plan, 10));
  EXPECT_EQ(stretch_of(plan, 9), stretch_of(plan, 10));
}

TEST(Recomputation, WhatReadsAChangingBufferDoesNotRunAgain) {
  Chain chain;
  chain.graph.buffer("b", {256}).buffer("fixed", {256});
  for (int i = 0; i < 8; ++i) chain.linear();
  chain.add("add.Tensor", {TestGraph::tensor("other", "b")});      // node 8
  chain.add("add.Tensor", {TestGraph::tensor("other", "fixed")});  // node 9
  for (int i = 0; i < 8; ++i) chain.linear();
  const std::string last = chain.last;
  chain.graph.node("add_.Tensor", {TestGraph::tensor("self", "b"), {"other", 1.0, false}}, "counted", {256});  // 18
  chain.last = last;
  for (int i = 0; i < 8; ++i) chain.linear();
  const RecomputationPlan plan = plan_recomputation(chain.end(), Recompute::kAll);
  ASSERT_FALSE(plan.empty());
  EXPECT_FALSE(plan.again[8]);
  EXPECT_TRUE(plan.again[9]);
  EXPECT_FALSE(plan.again[18]);
}

TEST(Recomputation, WhatDrawsAndWhatNobodyKnows) {
  const auto graph = [](const std::string& op) {
    Chain chain;
    chain.graph.buffer("mean", {256}).buffer("var", {256});
    for (int i = 0; i < 16; ++i) {
      if (i != 4) {
        chain.linear();
      } else if (op == "batch_norm.default") {
        chain.add(op, {TestGraph::tensor("running_mean", "mean"),
                       TestGraph::tensor("running_var", "var"),
                       {"training", true, false}});
      } else {
        chain.add(op, {{"p", 0.5, false}, {"train", true, false}});
      }
    }
    return chain.end();
  };
  const auto runs_again = [&](const std::string& op, bool random) {
    const RecomputationPlan plan = plan_recomputation(graph(op), Recompute::kAll, random);
    EXPECT_TRUE(any_again(plan, 0, 4)) << op;
    return static_cast<bool>(plan.again[4]);
  };
  EXPECT_TRUE(runs_again("dropout.default", true));
  EXPECT_FALSE(runs_again("dropout.default", false));
  EXPECT_TRUE(runs_again("batch_norm.default", true));
  EXPECT_TRUE(runs_again("batch_norm.default", false));
  EXPECT_FALSE(runs_again("some_operator_that_nobody_knows.default", true));
}

// The graph of a skip connection: what is read far behind is held all the time, and the peak says so.
TEST(Recomputation, WhatIsReadFarBehindIsHeld) {
  Chain chain;
  for (int i = 0; i < 32; ++i) chain.linear();
  const double without = plan_recomputation(chain.end(), Recompute::kAll).bytes_held;
  Chain skipping;
  std::vector<std::string> early;
  for (int i = 0; i < 32; ++i) early.push_back(skipping.linear());
  for (int i = 0; i < 8; ++i)
    skipping.add("add.Tensor", {TestGraph::tensor("other", early[static_cast<std::size_t>(i)])});
  const double with = plan_recomputation(skipping.end(), Recompute::kAll).bytes_held;
  EXPECT_GT(with, without + 4 * kBytes);
}

TEST(Recomputation, ManyNodesArePlannedSoon) {
  Chain chain;
  for (int i = 0; i < 8000; ++i) chain.linear();
  const RecomputationPlan plan = plan_recomputation(chain.end(), Recompute::kAll);
  EXPECT_LT(plan.bytes_held, 0.1 * plan.bytes);
}

}  // namespace
}  // namespace lockstep

#include "engine/program/Aliases.h"

#include <gtest/gtest.h>

#include "tests/support/TestGraph.h"

namespace lockstep {
namespace {

const TestGraph::Sizes kImage = {"s0", 2, 3, 3};
const TestGraph::Sizes kRow = {"s0", 18};

NamedArgument self(const std::string& value) { return TestGraph::tensor("self", value); }

// y = x + x; z = `op`(y); `op_in_place`(z) → w; returns the given.
Graph written(const std::string& op, std::vector<std::string> returned, const std::string& read_later = "") {
  TestGraph graph;
  graph.input("x", kImage);
  graph.node("add.Tensor", {self("x"), TestGraph::tensor("other", "x")}, "y", kImage);
  graph.node(op, {self("y")}, "z", kRow).node("relu_.default", {self("z")}, "w", kRow);
  if (!read_later.empty()) graph.node("relu.default", {self(read_later)}, "later", kRow);
  return graph.returns(std::move(returned));
}

TEST(AliasedWrites, AreReadLaterUnderAThirdName) {
  for (const char* op : {"flatten.using_ints", "view.default", "reshape.default", "contiguous.default",
                         "dropout.default", "select.int", "relu_.default"}) {
    EXPECT_TRUE(aliased_writes(written(op, {"w"})).empty()) << op;
    EXPECT_TRUE(aliased_writes(written(op, {"z"})).empty()) << op;  // what is written into has the write
    for (const Graph& graph : {written(op, {"w", "y"}), written(op, {"later"}, "y")}) {
      const auto found = aliased_writes(graph);
      ASSERT_EQ(found.size(), 1) << op;
      EXPECT_EQ(found[0].node, &graph.nodes[2]);
      EXPECT_EQ(found[0].name, "y");
    }
  }
  EXPECT_TRUE(aliased_writes(written("relu.default", {"w", "y"})).empty());
  EXPECT_TRUE(aliased_writes(written("clone.default", {"w", "y"})).empty());
}

TEST(AliasedWrites, KnowWhetherTheOrderInMemoryDecides) {
  for (const char* op : {"flatten.using_ints", "view.default", "reshape.default", "contiguous.default"}) {
    EXPECT_TRUE(aliased_writes(written(op, {"w", "y"})).at(0).depends_on_strides) << op;
  }
  for (const char* op : {"select.int", "permute.default", "dropout.default", "relu_.default"}) {
    EXPECT_FALSE(aliased_writes(written(op, {"w", "y"})).at(0).depends_on_strides) << op;
  }
}

// Schemas call these functions; meshgrid and unsafe_split return views, einsum and foo.bar may.
TEST(AliasedWrites, WhatIsNotKnownToMakeNewTensorsMayShareMemory) {
  for (const char* op : {"meshgrid.indexing", "unsafe_split.Tensor", "einsum.default", "foo.bar"}) {
    EXPECT_EQ(aliased_writes(written(op, {"w", "y"})).at(0).name, "y") << op;
  }
  Graph other = written("relu.default", {"w", "y"});
  other.nodes[1].target = "torch.ops.other.relu.default";
  EXPECT_EQ(aliased_writes(other).at(0).name, "y");
  EXPECT_TRUE(aliased_writes(other).at(0).depends_on_strides);  // so no pass may count on it
}

// x &= y.
TEST(AliasedWrites, KnowOperatorsInPlaceThatHaveNoUnderscore) {
  Graph graph = written("view.default", {"w", "y"});
  graph.nodes[2].target = "torch.ops.aten.__iand__.Tensor";
  EXPECT_EQ(aliased_writes(graph).at(0).name, "y");
  graph.nodes[2].target = "torch.ops.aten.__and__.Tensor";
  EXPECT_TRUE(aliased_writes(graph).empty());
}

TEST(AliasedWrites, ReachThroughTheBaseToItsOtherViews) {
  TestGraph graph;
  graph.input("x", kImage).node("flatten.using_ints", {self("x")}, "a", kRow);
  graph.node("select.int", {self("x")}, "b", kRow).node("relu_.default", {self("x")}, "x2", kImage);
  EXPECT_EQ(aliased_writes(graph.returns({"x2", "a"})).at(0).name, "a");
  EXPECT_EQ(aliased_writes(graph.returns({"x", "b"})).at(0).name, "b");
  EXPECT_TRUE(aliased_writes(graph.returns({"x", "x2"})).empty());
}

TEST(AliasedWrites, StateIsReadByTheNextRun) {
  TestGraph graph;
  graph.buffer("b", kImage).node("view.default", {self("b")}, "v", kRow).node("relu_.default", {self("v")}, "w", kRow);
  EXPECT_EQ(aliased_writes(graph.returns({"w"})).at(0).name, "b");
  TestGraph direct;
  direct.parameter("p", kRow).node("relu_.default", {self("p")}, "w", kRow);
  EXPECT_EQ(aliased_writes(direct.returns({"w"})).at(0).name, "p");
}

}  // namespace
}  // namespace lockstep

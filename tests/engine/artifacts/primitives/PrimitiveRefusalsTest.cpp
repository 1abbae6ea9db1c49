#include <gtest/gtest.h>

#include "common/Error.h"
#include "engine/artifacts/primitives/PrimitiveLowering.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TestGraph.h"

namespace lockstep {
namespace {

using T = TestGraph;

NamedArgument self(const std::string& value) { return T::tensor("self", value); }

// y = `op`(x, …) of float32 [s0, 3, 4].
Graph one(const std::string& op, std::vector<NamedArgument> arguments, const T::Sizes& sizes) {
  T graph;
  graph.input("x", {"s0", 3, 4});
  arguments.insert(arguments.begin(), self("x"));
  graph.node(op, std::move(arguments), "y", sizes);
  return graph.returns({"y"});
}

TEST(PrimitiveLowering, RefusesWhatItDoesNotKnowByOperatorAndLine) {
  Graph graph = one("lgamma.default", {}, {"s0", 3, 4});
  graph.nodes[0].metadata["stack_trace"] = "File \"model.py\", line 7, in forward\n  y = x.lgamma()";
  EXPECT_ERROR(lower_to_primitives(graph), InputError, "torch.ops.aten.lgamma.default", "line 7",
               "cannot be written into an artifact: it has no translation");
  EXPECT_ERROR(lower_to_primitives(one("relu.default", {{"strange", 1.0}}, {"s0", 3, 4})), InputError,
               "its argument \"strange\" has no translation");
}

TEST(PrimitiveLowering, RefusesWhatDependsOnSizesThatAreNotKnown) {
  const T::Sizes sizes = {"s0", 3, 4};
  EXPECT_ERROR(lower_to_primitives(
                   one("pad.default", {{"pad", Ints{0, 0, 0, 0, 1, 1}}, {"mode", std::string("reflect")}}, sizes)),
               InputError, "only known at run time");
  EXPECT_ERROR(lower_to_primitives(one("chunk.default", {{"chunks", std::int64_t{2}}}, sizes)), InputError,
               "only known at run time");
}

TEST(PrimitiveLowering, RefusesWhatOnlyTrainingDoes) {
  T graph;
  graph.input("x", {"s0", 4});
  graph.node("dropout.default", {T::tensor("input", "x"), {"p", 0.5}, {"train", true}}, "y", {"s0", 4});
  EXPECT_ERROR(lower_to_primitives(graph.returns({"y"})), InputError, "drops at random");
}

// Whether a reshape made a view, memory decides: what is written into it the image may show or not.
TEST(PrimitiveLowering, RefusesWritesThatMemoryDecides) {
  T graph;
  graph.input("x", {"s0", 3, 4});
  graph.node("relu.default", {self("x")}, "y", {"s0", 3, 4});
  graph.node("flatten.using_ints", {self("y"), {"start_dim", std::int64_t{1}}}, "rows", {"s0", 12});
  graph.node("add_.Tensor", {self("rows"), {"other", 1.0}}, "added", {"s0", 12});
  EXPECT_ERROR(lower_to_primitives(graph.returns({"y"})), InputError, "changes in place what is read later as \"y\"");
}

TEST(PrimitiveLowering, RefusesWritesIntoState) {
  T graph;
  graph.input("x", {"s0", 3}).buffer("count", {3});
  graph.node("add_.Tensor", {self("count"), {"other", 1.0}}, "added", {3});
  EXPECT_ERROR(lower_to_primitives(graph.returns({"added"})), InputError, "changes in place");
}

// A hostile program's graph may say anything of its values.
TEST(PrimitiveLowering, RefusesInputsThatNoOperatorTakes) {
  const T::Sizes sizes = {"s0", 3, 4};
  for (const auto& [op, arguments] : std::vector<std::pair<std::string, std::vector<NamedArgument>>>{
           {"select.int", {{"dim", std::int64_t{7}}, {"index", std::int64_t{0}}}},
           {"permute.default", {{"dims", Ints{0, 0, 1}}}},
           {"view.default", {{"size", Ints{5, 7}}}},
           {"expand.default", {{"size", Ints{4}}}},
           {"slice.Tensor", {{"step", std::int64_t{0}}}},
           {"max_pool2d.default", {{"kernel_size", Ints{0, 0}}}},
           {"max_pool1d.default", {{"kernel_size", Ints{9}}}},
           {"adaptive_avg_pool1d.default", {{"output_size", Ints{-1}}}},
           {"sum.dim_IntList", {{"dim", Ints{1, 1}}}},
           {"roll.default", {{"shifts", Ints{1}}, {"dims", Ints{5}}}},
           {"movedim.intlist", {{"source", Ints{0}}, {"destination", Ints{9}}}},
           {"pad.default", {{"pad", Ints{1, 1, 1, 1, 1, 1, 1, 1}}}},
           {"topk.default", {{"dim", std::int64_t{3}}}},
           {"pixel_shuffle.default", {{"upscale_factor", std::int64_t{0}}}},
           {"repeat.default", {{"repeats", Ints{2}}}},
           {"unfold.default",
            {{"dimension", std::int64_t{1}}, {"size", std::int64_t{0}}, {"step", std::int64_t{0}}}}}) {
    SCOPED_TRACE(op);
    const bool repeats = op == "repeat.default";  // fewer repeats than dimensions are filled up
    if (repeats) {
      EXPECT_NO_THROW(lower_to_primitives(one(op, arguments, sizes)));
    } else {
      EXPECT_THROW(lower_to_primitives(one(op, arguments, sizes)), InputError);
    }
  }
  T graph;
  graph.input("x", {"s0", 3}).parameter("w", {4, 5});
  graph.node("linear.default", {T::tensor("input", "x"), T::tensor("weight", "w")}, "y", {"s0", 4});
  EXPECT_ERROR(lower_to_primitives(graph.returns({"y"})), InputError, "linear of other sizes");
}

TEST(PrimitiveLowering, TiedParametersAreOneState) {
  T graph;
  graph.input("x", {"s0", 3}).parameter("a", {3, 3}).parameter("b", {3, 3});
  graph.node("linear.default", {T::tensor("input", "x"), T::tensor("weight", "a")}, "y", {"s0", 3});
  graph.node("linear.default", {T::tensor("input", "y"), T::tensor("weight", "b")}, "z", {"s0", 3});
  const PrimitiveGraph lowered = lower_to_primitives(graph.returns({"z"}), {{"b", "a"}});
  ASSERT_EQ(lowered.state.size(), 1);
  EXPECT_EQ(lowered.state[0].names, (std::vector<std::string>{"a", "b"}));
}

TEST(PrimitiveLowering, WhatNoOutputNeedsIsLeftOut) {
  T graph;
  graph.input("x", {"s0", 3}).input("unread", {"s0"}).parameter("w", {3}).parameter("unused", {3});
  graph.node("mul.Tensor", {self("x"), T::tensor("other", "unused")}, "lost", {"s0", 3});
  graph.node("add.Tensor", {self("x"), T::tensor("other", "w")}, "y", {"s0", 3});
  const PrimitiveGraph lowered = lower_to_primitives(graph.returns({"y"}));
  EXPECT_EQ(lowered.nodes.size(), 1);
  EXPECT_EQ(lowered.state.size(), 1);
  EXPECT_EQ(lowered.inputs.size(), 2);
}

}  // namespace
}  // namespace lockstep

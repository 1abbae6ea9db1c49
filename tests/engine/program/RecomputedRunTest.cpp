// Programs of which a part runs again in backward, beside the same programs without: the same bits, in less memory.
#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "engine/program/Executor.h"
#include "engine/program/GraphBuilder.h"
#include "engine/program/Layers.h"
#include "engine/program/Recomputation.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TensorMemory.h"
#include "tests/support/TestGraph.h"

namespace lockstep {
namespace {

using Value = GraphBuilder::Value;

/// Everything that a step of training changes.
struct Step {
  std::vector<at::Tensor> tensors;
  std::int64_t peak = 0;
};

// The program's own tensors are left as they were.
Step step(const Program& given, const at::Tensor& x, Recompute mode, bool autocast = false, int micro_batches = 1) {
  const Program program = given.clone();
  Executor executor(program, /*trains=*/true, nullptr, plan_recomputation(program.graph(), mode));
  Step made;
  at::manual_seed(5);
  made.peak = peak_tensor_bytes([&] {
    for (int i = 0; i < micro_batches; ++i) {
      at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
      at::autocast::set_autocast_enabled(at::kCPU, autocast);
      std::vector<at::Tensor> outputs = executor.run({x});
      at::autocast::clear_cache();
      at::autocast::set_autocast_enabled(at::kCPU, false);
      at::Tensor loss = at::zeros({}, x.options());
      for (const at::Tensor& output : outputs) {
        made.tensors.push_back(output.detach());
        loss = loss + output.to(x.scalar_type()).square().mean();
      }
      outputs.clear();
      loss.backward();
    }
  });
  made.tensors.push_back(at::rand({3}));  // where the generator stands
  for (const StateTensor& entry : program.state()) {
    made.tensors.push_back(entry.tensor.detach());
    if (entry.tensor.grad().defined()) made.tensors.push_back(entry.tensor.grad());
  }
  return made;
}

void expect_same_bits(const Program& program, const at::Tensor& x, bool autocast = false, int micro_batches = 1) {
  const Step plain = step(program, x, Recompute::kNone, autocast, micro_batches);
  for (const Recompute mode : {Recompute::kAuto, Recompute::kAll}) {
    SCOPED_TRACE(to_string(mode));
    EXPECT_FALSE(plan_recomputation(program.graph(), mode).empty());
    const Step again = step(program, x, mode, autocast, micro_batches);
    ASSERT_EQ(again.tensors.size(), plain.tensors.size());
    for (std::size_t i = 0; i < plain.tensors.size(); ++i)
      EXPECT_TRUE(at::equal(again.tensors[i], plain.tensors[i])) << i;
    EXPECT_LT(again.peak, plain.peak);
  }
}

Program convolutions(int blocks) {
  GraphBuilder graph(1);
  Value x = graph.input("x", {3, 16, 16});
  for (int i = 0; i < blocks; ++i) {
    const std::string layer = "block" + std::to_string(i);
    x = layers::conv2d(graph, x, layer + ".conv", {.channels = 8, .kernel = 3, .padding = 1});
    x = layers::relu(graph, layers::batch_norm(graph, x, layer + ".norm"));
  }
  return graph.build("convolutions", layers::linear(graph, layers::flatten(graph, x), "fc", {.features = 5}));
}

Program dense(int count, double dropout) {
  GraphBuilder graph(2);
  Value x = graph.input("x", {64});
  for (int i = 0; i < count; ++i) {
    x = layers::relu(graph, layers::linear(graph, x, "fc" + std::to_string(i), {.features = 64}));
    x = layers::relu(graph, layers::dropout(graph, x, dropout));
  }
  return graph.build("layers", layers::linear(graph, x, "head", {.features = 5}));
}

TEST(RecomputedRun, ConvolutionsAndBatchNormsHaveTheSameBitsAndStatistics) {
  expect_same_bits(convolutions(8), at::randn({4, 3, 16, 16}));
  expect_same_bits(convolutions(8).to(at::kDouble), at::randn({4, 3, 16, 16}, at::kDouble));
  expect_same_bits(convolutions(8), at::randn({4, 3, 16, 16}), /*autocast=*/true);
}

TEST(RecomputedRun, DropoutDropsTheSame) {
  expect_same_bits(dense(12, 0.3), at::randn({64, 64}));
  expect_same_bits(dense(12, 0.3), at::randn({64, 64}), /*autocast=*/true);
}

TEST(RecomputedRun, MicroBatchesAddUp) {
  expect_same_bits(dense(12, 0.3), at::randn({64, 64}), /*autocast=*/false, /*micro_batches=*/3);
}

/// Programs node by node, over parameters p [64, 64] and q [64], and input x [batch, 64].
class Written {
 public:
  Written() {
    graph_.parameter("p", {64, 64}).parameter("q", {64}).input("x", {64, 64});
    at::manual_seed(3);
    state_ = {{"p", (at::randn({64, 64}) / 8).set_requires_grad(true)}, {"q", at::randn({64}).set_requires_grad(true)}};
  }
  std::string operator()(const std::string& op, const std::string& self, const std::string& other = "") {
    const std::string result = "v" + std::to_string(++made_);
    std::vector<NamedArgument> inputs = {TestGraph::tensor(op.starts_with("linear") ? "input" : "self", self)};
    if (!other.empty()) inputs.push_back(TestGraph::tensor(op.starts_with("linear") ? "weight" : "other", other));
    graph_.node(op, inputs, result, {64, 64});
    return result;
  }
  Program returns(std::vector<std::string> outputs) { return {"written", graph_.returns(std::move(outputs)), state_}; }

 private:
  TestGraph graph_;
  std::map<std::string, at::Tensor> state_;
  int made_ = 0;
};

// A value that is read in four places, near and far, parameters that are read all over, and two outputs: gradients are
// added up in the same order.
TEST(RecomputedRun, WhatIsReadInSeveralPlacesAddsUpInTheSameOrder) {
  Written program;
  std::string x = program("linear.default", "x", "p");
  const std::string early = x;
  std::string middle;
  for (int i = 0; i < 6; ++i) {
    x = program("tanh.default", program("mul.Tensor", program("linear.default", x, "p"), "q"));
    x = program("add.Tensor", program("add.Tensor", x, early), program("sigmoid.default", x));
    if (i == 2) middle = x;
  }
  expect_same_bits(program.returns({x, middle}), at::randn({64, 64}));
}

TEST(RecomputedRun, WhatIsWrittenInPlaceIsWrittenAgain) {
  Written program;
  std::string x = "x";
  for (int i = 0; i < 8; ++i) {
    const std::string y = program("mul.Tensor", program("linear.default", x, "p"), "q");
    program("relu_.default", y);  // the rest reads it by its first name
    x = program("add_.Tensor", program("mul.Tensor", y, "q"), i == 0 ? "q" : x);
  }
  expect_same_bits(program.returns({x}), at::randn({64, 64}));
}

// As without: an operator that overwrites what backward needs of another one is told of.
TEST(RecomputedRun, OverwritingWhatBackwardNeedsIsRefused) {
  Written program;
  std::string x = program("linear.default", "x", "p");
  for (int i = 0; i < 8; ++i) {
    x = program("tanh.default", program("mul.Tensor", program("linear.default", x, "p"), "q"));
    x = program("mul_.Tensor", x, "q");
  }
  const Program made = program.returns({x});
  for (const Recompute mode : {Recompute::kNone, Recompute::kAll}) {
    SCOPED_TRACE(to_string(mode));
    EXPECT_THROW(step(made, at::randn({64, 64}), mode), c10::Error);
  }
}

// Parameters that are not trained, in the first layers and in between.
TEST(RecomputedRun, FrozenParametersStayWithoutGradients) {
  const Program program = convolutions(8);
  for (const StateTensor& entry : program.state()) {
    if (entry.name.starts_with("block0") || entry.name.starts_with("block1") || entry.name.starts_with("block4.norm")) {
      if (entry.kind == InputKind::kParameter) entry.tensor.set_requires_grad(false);
    }
  }
  expect_same_bits(program, at::randn({4, 3, 16, 16}));
}

TEST(RecomputedRun, MemoryFalls) {
  const Program program = convolutions(24);
  const at::Tensor x = at::randn({16, 3, 16, 16});
  const auto peak = [&](Recompute mode) { return static_cast<double>(step(program, x, mode).peak); };
  const double plain = peak(Recompute::kNone);
  EXPECT_LT(peak(Recompute::kAuto), 0.7 * plain);
  EXPECT_LT(peak(Recompute::kAll), 0.5 * plain);
}

// A graph that nobody goes backward through leaves nothing behind, and may outlive the executor.
TEST(RecomputedRun, GraphsLiveAloneAndDie) {
  const Program program = convolutions(8);
  const at::Tensor x = at::randn({4, 3, 16, 16});
  at::Tensor loss;
  {
    Executor executor(program, /*trains=*/true, nullptr, plan_recomputation(program.graph(), Recompute::kAll));
    const std::int64_t once = peak_tensor_bytes([&] { executor.run({x}); });
    const std::int64_t often = peak_tensor_bytes([&] {
      for (int i = 0; i < 10; ++i) executor.run({x});
    });
    EXPECT_LE(often, once);
    loss = executor.run({x}).at(0).sum();
  }
  loss.backward();
  for (const StateTensor& parameter : program.trained_parameters()) EXPECT_TRUE(parameter.tensor.grad().defined());
}

TEST(RecomputedRun, EvaluationKeepsNothingAndIsTheSame) {
  const Program program = dense(8, 0);
  const at::Tensor x = at::randn({16, 64});
  Executor executor(program, /*trains=*/true, nullptr, plan_recomputation(program.graph(), Recompute::kAll));
  const c10::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(executor.run({x}).at(0), Executor(program).run({x}).at(0)));
}

}  // namespace
}  // namespace lockstep

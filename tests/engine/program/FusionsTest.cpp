#include "engine/program/Fusions.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "engine/program/Executor.h"
#include "engine/program/GraphBuilder.h"
#include "engine/program/Layers.h"
#include "engine/program/Passes.h"
#include "tests/support/ProgramResults.h"

namespace lockstep {
namespace {

using Tensors = std::vector<at::Tensor>;

void expect_close(const Tensors& found, const Tensors& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(at::allclose(found[i], expected[i], tolerance, tolerance)) << i;
  }
}

// [linear → gelu] twice, linear; float64.
Program gelu_program(const std::string& approximate) {
  const Program mlp =
      build_builtin_program("mlp",
                            {.input_shape = {1, 4, 5}, .classes = 3, .channels = {}, .hidden = {7, 9}, .dropout = 0})
          .to(at::kDouble);
  Graph graph = mlp.graph();
  for (Node& node : graph.nodes) {
    if (node.target != "torch.ops.aten.relu.default") continue;
    node.target = "torch.ops.aten.gelu.default";
    if (!approximate.empty()) node.set("approximate", approximate);
  }
  return mlp.with_graph(graph);
}

TEST(FuseBiasGelu, ComputesTheSame) {
  for (const std::string approximate : {"", "none", "tanh"}) {
    const Program program = gelu_program(approximate);
    std::vector<std::string> changes;
    const Program fused = program.with_graph(fuse_bias_gelu(program.graph(), changes));
    EXPECT_EQ(changes.size(), 2U);
    EXPECT_EQ(changes[0], "linear, relu → lockstep.bias_gelu.default");
    const at::Tensor x = at::randn({6, 1, 4, 5}, at::kDouble);
    const Tensors expected = results(program, x);
    const Tensors found = results(fused, x);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-12, 1e-12)) << approximate << i;
    }
  }
}

// tanh-GELUs as transformers' GPT-2 has them, in eight nodes.
Graph with_gelus_written_out(Graph graph) {
  std::vector<Node> nodes;
  for (const Node& node : graph.nodes) {
    if (node.target != "torch.ops.aten.gelu.default") {
      nodes.push_back(node);
      continue;
    }
    const TensorName x{node.tensor("self")};
    const std::string y = node.output();
    const auto add = [&](const char* name, const std::string& target, std::vector<NamedArgument> inputs) {
      const std::string output = y + name;
      graph.describe_as(output, y);
      nodes.push_back({.target = "torch.ops.aten." + target,
                       .inputs = std::move(inputs),
                       .outputs = {TensorName{output}},
                       .name = output});
      return TensorName{output};
    };
    const TensorName half = add("_half", "mul.Tensor", {{"self", x}, {"other", 0.5}});
    const TensorName cube = add("_cube", "pow.Tensor_Scalar", {{"self", x}, {"exponent", std::int64_t{3}}});
    const TensorName part = add("_part", "mul.Tensor", {{"self", cube}, {"other", 0.044715}});
    const TensorName sum = add("_sum", "add.Tensor", {{"self", x}, {"other", part}});
    const TensorName scaled = add("_scaled", "mul.Tensor", {{"self", sum}, {"other", 0.7978845608}});
    const TensorName tanh = add("_tanh", "tanh.default", {{"self", scaled}});
    const TensorName more = add("_more", "add.Tensor", {{"self", tanh}, {"other", 1.0}});
    add("", "mul.Tensor", {{"self", half}, {"other", more}});
  }
  graph.nodes = std::move(nodes);
  return graph;
}

// Linears as transformers' Conv1D has them.
Graph with_addmm(Graph graph) {
  std::vector<Node> nodes;
  for (const Node& node : graph.nodes) {
    if (node.target != "torch.ops.aten.linear.default") {
      nodes.push_back(node);
      continue;
    }
    const std::string y = node.output();
    const auto add = [&](const std::string& output, const std::string& target, std::vector<NamedArgument> inputs) {
      nodes.push_back({.target = "torch.ops.aten." + target,
                       .inputs = std::move(inputs),
                       .outputs = {TensorName{output}},
                       .name = output});
    };
    const std::int64_t columns = graph.example_sizes(y).back();
    graph.describe_as(y + "_addmm", y);
    add(y + "_t", "t.default", {{"self", TensorName{node.tensor("weight")}}});
    add(y + "_addmm", "addmm.default",
        {{"self", TensorName{node.tensor("bias")}},
         {"mat1", TensorName{node.tensor("input")}},
         {"mat2", TensorName{y + "_t"}}});
    add(y, "view.default", {{"self", TensorName{y + "_addmm"}}, {"size", std::vector<std::int64_t>{-1, columns}}});
  }
  graph.nodes = std::move(nodes);
  return graph;
}

Node& node_named(Graph& graph, const std::string& name) { return *std::ranges::find(graph.nodes, name, &Node::name); }

TEST(FuseBiasGelu, RecognisesAGeluThatIsWrittenOut) {
  const Program program = gelu_program("tanh");
  const at::Tensor x = at::randn({6, 1, 4, 5}, at::kDouble);
  const Tensors expected = results(program, x);
  for (const bool addmm : {false, true}) {
    for (const bool swapped : {false, true}) {
      Graph graph = with_gelus_written_out(addmm ? with_addmm(program.graph()) : program.graph());
      for (const char* name : {"relu", "relu_sum", "relu_1", "relu_1_sum"}) {
        Node& node = node_named(graph, name);
        if (swapped) std::swap(node.inputs[0].value, node.inputs[1].value);
      }
      expect_close(results(program.with_graph(graph), x), expected, 1e-9);
      std::vector<std::string> changes;
      const Graph fused = fuse_bias_gelu(graph, changes);
      EXPECT_EQ(fused.nodes.size(), graph.nodes.size() - 14);
      ASSERT_EQ(changes.size(), 4U);
      EXPECT_EQ(
          changes[0],
          "relu_half, relu_cube, relu_part, relu_sum, relu_scaled, relu_tanh, relu_more, relu → aten.gelu.default");
      EXPECT_EQ(changes[2], std::string(addmm ? "linear_addmm" : "linear") + ", relu → lockstep.bias_gelu.default");
      expect_close(results(program.with_graph(fused), x), expected, 1e-12);
    }
  }
}

TEST(FuseBiasGelu, LeavesWhatIsNoGelu) {
  const Graph graph = with_gelus_written_out(with_addmm(gelu_program("tanh").graph()));
  const std::vector<std::function<void(Graph&)>> alterations = {
      [](Graph& of) { of.outputs.push_back("relu_tanh"); },
      [](Graph& of) { node_named(of, "relu_part").set("other", 0.0447); },
      [](Graph& of) { node_named(of, "relu_cube").set("exponent", 2.0); },
      [](Graph& of) { node_named(of, "relu_sum").set("alpha", std::int64_t{2}); },
      [](Graph& of) { node_named(of, "relu_half").set("self", TensorName{"relu_cube"}); },
      [](Graph& of) { node_named(of, "relu_sum").set("self", TensorName{"relu_half"}); },
      [](Graph& of) { node_named(of, "relu_scaled").target = "torch.ops.aten.mul_.Tensor"; },
      [](Graph& of) {  // a write that has nothing to do with it, for all that a pass knows
        const auto tanh = std::ranges::find(of.nodes, "relu_tanh", &Node::name);
        of.nodes.insert(tanh, {.target = "torch.ops.aten.zero_.default",
                               .inputs = {{"self", TensorName{"x"}}},
                               .outputs = {TensorName{"zero_"}},
                               .name = "zero_"});
      }};
  for (std::size_t i = 0; i < alterations.size(); ++i) {
    Graph altered = graph;
    alterations[i](altered);
    std::vector<std::string> changes;
    EXPECT_EQ(fuse_bias_gelu(altered, changes).nodes.size(), altered.nodes.size() - 7) << i;
    EXPECT_EQ(changes.size(), 2U) << i;
    EXPECT_TRUE(changes.front().starts_with("relu_1_half, ")) << i;
  }
}

TEST(FuseBiasGelu, LeavesAnAddmmThatIsNoLinear) {
  const Graph graph = with_addmm(gelu_program("tanh").graph());
  const std::vector<std::function<void(Graph&)>> alterations = {
      [](Graph& of) { of.outputs.push_back("linear_addmm"); },
      [](Graph& of) { node_named(of, "linear_addmm").set("beta", std::int64_t{2}); },
      [](Graph& of) { node_named(of, "linear_addmm").set("alpha", 0.5); },
      [](Graph& of) {
        of.describe("linear", of.scalar_type("linear"), {3, 2});
      }};
  for (std::size_t i = 0; i < alterations.size(); ++i) {
    Graph altered = graph;
    alterations[i](altered);
    std::vector<std::string> changes;
    fuse_bias_gelu(altered, changes);
    EXPECT_EQ(changes, std::vector<std::string>{"linear_1_addmm, relu_1 → lockstep.bias_gelu.default"}) << i;
  }
}

Program gpt(double dropout) {
  BuiltinOptions options{.input_shape = {12}, .classes = 5, .dropout = dropout, .layers = 2, .heads = 2, .width = 8};
  options.counts = {{"input_ids", 11}};
  return build_builtin_program("gpt", options);
}

TEST(FuseAttention, TakesAttentionThatDrops) {
  std::vector<std::string> changes;
  fuse_attention(gpt(0).graph(), changes);
  EXPECT_TRUE(changes.empty());
  const Program program = gpt(0.2);
  const Graph fused = fuse_attention(program.graph(), changes);
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0], "scaled_dot_product_attention → lockstep.attention.default");
  const at::InferenceMode inference;
  const at::Tensor x = at::randint(0, 11, {3, 12}, at::kLong);
  EXPECT_TRUE(at::equal(Executor(program.with_graph(eval_form(fused))).run({x}).at(0),
                        Executor(program.with_graph(eval_form(program.graph()))).run({x}).at(0)));
}

TEST(FuseAttention, LeavesWhatMayBeWrittenInto) {
  Graph graph = gpt(0.2).graph();
  Node write = graph.nodes.back();
  write.inputs = {{"self", TensorName{write.output()}}};
  write.target = "torch.ops.aten.zero_.default";
  write.outputs = {TensorName{"zeros"}};
  graph.nodes.push_back(write);
  std::vector<std::string> changes;
  fuse_attention(graph, changes);
  EXPECT_TRUE(changes.empty());
}

TEST(UseOnednnLinear, TakesLargeWeights) {
  const Program mlp = build_builtin_program(
      "mlp", {.input_shape = {256}, .classes = 3, .channels = {}, .hidden = {256, 300, 255}, .dropout = 0});
  std::vector<std::string> changes;
  const Graph changed = use_onednn_linear(mlp.graph(), changes);
  EXPECT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0], "linear → lockstep.linear.default");
  const Program faster = mlp.with_graph(changed);
  for (const std::int64_t samples : {1, 300}) {
    const at::Tensor x = at::randn({samples, 256});
    const Tensors expected = results(mlp, x);
    const Tensors found = results(faster, x);
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-4, 1e-4)) << i;
  }
}

TEST(FuseBiasGelu, LeavesALinearThatOthersRead) {
  Graph graph = gelu_program("").graph();
  graph.outputs.push_back("linear");
  std::vector<std::string> changes;
  const Graph fused = fuse_bias_gelu(graph, changes);
  EXPECT_EQ(changes.size(), 1U);
  EXPECT_EQ(fused.nodes[2].target, "torch.ops.aten.gelu.default");
}

// An archive need not name its nodes, nor describe its values.
TEST(Fusions, LeaveOtherNodesWithoutNamesWhereTheyAre) {
  const Program cnn =
      build_builtin_program("cnn", {.input_shape = {1, 12, 12}, .classes = 3, .channels = {4, 6}, .dropout = 0});
  Graph graph = cnn.graph();
  for (Node& node : graph.nodes) node.name.clear();
  std::vector<std::string> changes;
  const Graph fused = fuse_max_pool_relu(graph, changes);
  EXPECT_EQ(changes.size(), 2U);
  EXPECT_EQ(fused.nodes.size(), graph.nodes.size() - 2);
  graph.document.at("graph_module").at("graph").at("tensor_values") = nlohmann::json::object();
  EXPECT_EQ(fuse_max_pool_relu(graph, changes).nodes.size(), graph.nodes.size());
  EXPECT_EQ(changes.size(), 2U);
}

TEST(FuseBiasGelu, LeavesABiasThatIsNotOneNumberAColumn) {
  Graph graph = gelu_program("").graph();
  const std::string bias = graph.nodes[1].tensor("bias");
  graph.document.at("graph_module").at("graph").at("tensor_values").at(bias).at("sizes") = {{{"as_int", 1}}};
  std::vector<std::string> changes;
  fuse_bias_gelu(graph, changes);
  EXPECT_EQ(changes.size(), 1U);
}

// Two residual blocks as torchvision has them, in the first of which what is added is made behind the norm it is added
// to.
Program residual_program(bool in_place) {
  using Value = GraphBuilder::Value;
  GraphBuilder builder(5);
  const auto norm = [&](const Value& x, const std::string& name, std::int64_t kernel) {
    const Value maps =
        layers::conv2d(builder, x, name + ".conv", {.channels = 6, .kernel = kernel, .padding = kernel / 2});
    return layers::batch_norm(builder, maps, name + ".norm");
  };
  const Value stem = layers::relu(builder, norm(builder.input("x", {3, 7, 8}), "stem", 3));
  const Value first = norm(stem, "first", 3);
  const Value block = layers::relu(builder, layers::add(builder, first, norm(stem, "down", 1)));
  const Value last = layers::add(builder, norm(block, "last", 3), block);
  const Program program =
      builder.build("blocks", layers::linear(builder, layers::flatten(builder, last), "fc", {.features = 4}))
          .to(at::kDouble);
  Graph graph = program.graph();
  for (Node& node : graph.nodes) {
    if (!in_place) break;
    if (node.target == "torch.ops.aten.relu.default") node.target = "torch.ops.aten.relu_.default";
    if (node.target == "torch.ops.aten.add.Tensor") node.target = "torch.ops.aten.add_.Tensor";
  }
  return program.with_graph(graph);
}

// The output, gradients of x and of parameters, and statistics after a step.
Tensors step(const Program& program, const at::Tensor& given) {
  const at::Tensor x = given.clone(at::MemoryFormat::Preserve).requires_grad_();
  Executor executor(program);
  const at::Tensor output = executor.run({x}).at(0);
  output.square().sum().backward();
  Tensors all = {output.detach(), x.grad()};
  for (const StateTensor& entry : program.state()) {
    all.push_back(entry.tensor.requires_grad() ? entry.tensor.grad() : entry.tensor);
  }
  return all;
}

TEST(FuseBatchNorm, ComputesTheSame) {
  for (const bool in_place : {false, true}) {
    for (const at::MemoryFormat order : {at::MemoryFormat::ChannelsLast, at::MemoryFormat::Contiguous}) {
      const Program program = residual_program(in_place);
      std::vector<std::string> changes;
      const Program fused = residual_program(in_place).with_graph(fuse_batch_norm(program.graph(), changes));
      EXPECT_EQ(changes, (std::vector<std::string>{"batch_norm, relu → lockstep.batch_norm.default",
                                                   "batch_norm_1, add, relu_1 → lockstep.batch_norm.default",
                                                   "batch_norm_3, add_1 → lockstep.batch_norm.default",
                                                   "batch_norm_2 → lockstep.batch_norm.default"}));
      const at::Tensor x = at::randn({5, 3, 7, 8}, at::kDouble).contiguous(order);
      expect_close(step(fused, x), step(program, x), 1e-11);
      const at::InferenceMode inference;
      Executor found(fused.with_graph(eval_form(fused.graph())));
      Executor expected(program.with_graph(eval_form(program.graph())));
      EXPECT_TRUE(at::allclose(found.run({x}).at(0), expected.run({x}).at(0), 1e-11, 1e-11));
    }
  }
}

TEST(FuseBatchNorm, LeavesWhatOthersRead) {
  Graph graph = residual_program(false).graph();
  graph.outputs.push_back("batch_norm");    // read besides by who called
  graph.outputs.push_back("batch_norm_1");  // the sum has to be made of it
  std::vector<std::string> changes;
  EXPECT_EQ(fuse_batch_norm(graph, changes).nodes.size(), graph.nodes.size() - 3);
  EXPECT_EQ(changes.front(), "batch_norm_2, add, relu_1 → lockstep.batch_norm.default");
}

TEST(FuseBatchNorm, LeavesASumThatIsWrittenIntoWhatIsAdded) {
  Graph graph = residual_program(true).graph();
  for (Node& node : graph.nodes) {
    if (node.name == "add_1") std::swap(node.inputs[0].value, node.inputs[1].value);
  }
  std::vector<std::string> changes;
  fuse_batch_norm(graph, changes);
  EXPECT_EQ(std::ranges::count_if(changes,
                                  [](const std::string& change) { return change.find("add_1") != std::string::npos; }),
            0);
}

TEST(FuseBatchNorm, LeavesANormWhoseStatisticsAreReadBefore) {
  Graph graph = residual_program(false).graph();
  const auto first = std::ranges::find(graph.nodes, "batch_norm_1", &Node::name);
  for (Node& node : graph.nodes) {
    if (node.name == "batch_norm_2") node.set("running_mean", *first->find("running_mean"));
  }
  std::vector<std::string> changes;
  fuse_batch_norm(graph, changes);
  EXPECT_EQ(changes.at(1), "batch_norm_2, add, relu_1 → lockstep.batch_norm.default");
}

// PyTorch 2.11 adds pixel to pixel when images lie channels last.
TEST(FuseBatchNorm, LosesNoDigitsOverManyPixels) {
  GraphBuilder builder(1);
  const Program program = builder.build("norm", layers::batch_norm(builder, builder.input("x", {4, 64, 64}), "norm"));
  std::vector<std::string> changes;
  const Program fused = program.with_graph(fuse_batch_norm(program.graph(), changes));
  const at::Tensor x = (at::randn({16, 4, 64, 64}, at::kDouble) + 3).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor expected = Executor(program.to(at::kDouble)).run({x.to(at::kFloat).to(at::kDouble)}).at(0);
  const at::Tensor found = Executor(fused).run({x.to(at::kFloat)}).at(0).to(at::kDouble);
  EXPECT_LE((found - expected).abs().max().item<double>(), 2e-6);
}

// Convolutions of images of `channels`, with and without a bias; two have a stride and a kernel of 1×1.
Program pointwise_program(std::int64_t channels) {
  using layers::conv2d;
  GraphBuilder graph(3);
  const GraphBuilder::Value x = graph.input("x", {channels, 12, 12});
  const GraphBuilder::Value a = conv2d(graph, x, "strided", {.channels = 8, .kernel = 1, .stride = 2, .bias = false});
  const GraphBuilder::Value b = conv2d(graph, x, "wide", {.channels = 8, .kernel = 3, .stride = 2, .padding = 1});
  const GraphBuilder::Value c = conv2d(graph, x, "dense", {.channels = 8, .kernel = 1});
  const GraphBuilder::Value d = conv2d(graph, c, "again", {.channels = 8, .kernel = 1, .stride = 2});
  return graph.build("pointwise", layers::add(graph, layers::add(graph, a, b), d));
}

TEST(SliceBeforeStridedPointwise, ComputesTheSame) {
  const Program program = pointwise_program(6).to(at::kDouble);
  std::vector<std::string> changes;
  const Program sliced = program.with_graph(slice_before_strided_pointwise(program.graph(), changes));
  EXPECT_EQ(changes, (std::vector<std::string>{"conv2d → lockstep.strided_pointwise_conv2d.default",
                                               "conv2d_3 → lockstep.strided_pointwise_conv2d.default"}));
  const at::Tensor x = at::randn({5, 6, 12, 12}, at::kDouble);
  const Tensors expected = results(program, x);
  const Tensors found = results(sliced, x);
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-12, 1e-12)) << i;
}

TEST(SliceBeforeStridedPointwise, LeavesKernelsOverManyChannels) {
  std::vector<std::string> changes;
  slice_before_strided_pointwise(pointwise_program(16).graph(), changes);
  EXPECT_EQ(changes.size(), 1U);
}

// oneDNN's gradient writes beyond its buffer on processors with AVX2 alone, by which a later allocation fails.
TEST(SliceBeforeStridedPointwise, ChannelsLastLeavesTheHeapWhole) {
  std::vector<std::string> changes;
  const Program program = with_channels_last(pointwise_program(6), changes);
  const at::Tensor x = at::randn({8, 6, 12, 12}).contiguous(at::MemoryFormat::ChannelsLast);
  for (int i = 0; i < 60; ++i) {
    const Tensors found = results(program, x);
    for (int size = 1; size < 100; ++size) EXPECT_EQ(at::zeros({size}).numel(), size);
  }
}

}  // namespace
}  // namespace lockstep

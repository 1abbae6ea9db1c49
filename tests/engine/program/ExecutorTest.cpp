#include "engine/program/Executor.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <tuple>

#include "common/Error.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "engine/program/Layers.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

using nlohmann::json;

const BuiltinOptions kSmall{.input_shape = {2, 8, 8}, .classes = 3, .channels = {4}, .hidden = {5}};

Graph changed(const Program& program, std::size_t node, void (*change)(Node&)) {
  Graph graph = program.graph();
  change(graph.nodes.at(node));
  return graph;
}

TEST(Executor, ComputesWhatTheLayersSay) {
  const Program program = build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {3}, .dropout = 0});
  std::map<std::string, at::Tensor> state;
  for (const StateTensor& entry : program.state()) state[entry.name] = entry.tensor;
  const at::Tensor x = at::randn({5, 4});
  const at::Tensor expected = at::linear(at::relu(at::linear(x, state["fc1.weight"], state["fc1.bias"])),
                                         state["fc2.weight"], state["fc2.bias"]);
  EXPECT_TRUE(at::equal(Executor(program).run({x}).at(0), expected));
}

TEST(Executor, BackwardReachesEveryTrainedParameter) {
  const Program program = build_builtin_program("cnn", kSmall);
  Executor(program).run({at::randn({4, 2, 8, 8})}).at(0).sum().backward();
  ASSERT_EQ(program.trained_parameters().size(), 8);
  for (const StateTensor& parameter : program.trained_parameters()) EXPECT_TRUE(parameter.tensor.grad().defined());
  EXPECT_EQ(program.trained_parameters().front().name, "fc2.bias");
  EXPECT_EQ(program.trained_parameters().back().name, "block1.conv.weight");
}

TEST(Executor, TrainingChangesRunningStatisticsAndInferenceDoesNot) {
  const Program program = build_builtin_program("cnn", kSmall);
  const Program inference = program.with_graph(eval_form(program.graph()));
  const at::Tensor x = at::randn({4, 2, 8, 8});
  Executor(inference).run({x});
  ASSERT_EQ(program.running_statistics().size(), 2);
  EXPECT_TRUE(at::equal(program.running_statistics()[0].tensor, at::zeros({4})));
  Executor(program).run({x});
  EXPECT_FALSE(at::equal(program.running_statistics()[0].tensor, at::zeros({4})));
  for (const StateTensor& entry : program.state()) {
    if (entry.name == "block1.norm.num_batches_tracked") {
      EXPECT_EQ(entry.tensor.item<std::int64_t>(), 1);
    }
  }
}

// Statistics of a single value: batch norm on maps of 1 × 1 makes its running variance NaN of one sample.
TEST(Executor, RefusesToTakeStatisticsOfASingleValue) {
  GraphBuilder graph(1);
  const auto maps = layers::conv2d(graph, graph.input("x", {2, 1, 1}), "conv", {.channels = 4});
  const auto normal = layers::batch_norm(graph, maps, "stem.norm");
  const Program program = graph.build("small", layers::flatten(graph, normal));
  EXPECT_ERROR(Executor(program).run({at::randn({1, 2, 1, 1})}), SingleValueError, "layer stem.norm, operator",
               "batch_norm", "[1, 4, 1, 1]", "one number in each channel,");
  {
    const c10::NoGradGuard no_grad;
    EXPECT_THROW(Executor(program).run({at::randn({1, 2, 1, 1})}), SingleValueError);
  }
  for (const StateTensor& statistic : program.running_statistics()) {
    EXPECT_TRUE(statistic.tensor.isfinite().all().item<bool>()) << statistic.name;
  }
  Executor(program).run({at::randn({2, 2, 1, 1})});
  const std::size_t node = 2;  // after the convolution and the count of batches
  const auto without_statistics = [](Node& norm) {
    for (const char* argument : {"running_mean", "running_var"}) norm.set(argument, NoneArgument{});
  };
  const Program plain = program.with_graph(changed(program, node, without_statistics));
  EXPECT_THROW(Executor(plain, true).run({at::randn({1, 2, 1, 1})}), SingleValueError);
  Executor(plain).run({at::randn({1, 2, 1, 1})});
  const Program instance = program.with_graph(changed(program, node, [](Node& norm) {
    norm.target = "torch.ops.aten.instance_norm.default";
    for (NamedArgument& argument : norm.inputs) {
      if (argument.name == "training") argument.name = "use_input_stats";
    }
  }));
  EXPECT_ERROR(Executor(instance).run({at::randn({5, 2, 1, 1})}), SingleValueError, "layer stem.norm, operator",
               "instance_norm", "[5, 4, 1, 1]", "in each channel of a sample");
  Executor(instance).run({at::randn({1, 2, 2, 1})});
  Executor(program.with_graph(eval_form(program.graph()))).run({at::randn({1, 2, 1, 1})});
}

TEST(Executor, SamplesDoNotDependOnEachOtherInInference) {
  const Program program = build_builtin_program("cnn", kSmall);
  Executor inference(program.with_graph(eval_form(program.graph())));
  const c10::NoGradGuard no_grad;
  const at::Tensor x = at::randn({6, 2, 8, 8});
  const at::Tensor together = inference.run({x}).at(0);
  EXPECT_TRUE(at::allclose(together.slice(0, 2, 3), inference.run({x.slice(0, 2, 3)}).at(0), 1e-4, 1e-4));
}

TEST(Executor, DoubleProgramComputesInDouble) {
  const Program program = build_builtin_program("cnn", kSmall).to(at::kDouble);
  const at::Tensor y = Executor(program).run({at::randn({4, 2, 8, 8}, at::kDouble)}).at(0);
  EXPECT_EQ(y.scalar_type(), at::kDouble);
  EXPECT_EQ(program.graph().scalar_type("conv2d"), scalar_type_to_archive(at::kDouble));
}

TEST(Executor, RefusesAnOperatorItDoesNotKnowByNameAndLine) {
  const Program program = build_builtin_program("cnn", kSmall);
  const Graph graph = changed(program, 0, [](Node& node) {
    node.target = "torch.ops.mylib.fancy_conv.default";
    node.metadata["stack_trace"] = "File \"model.py\", line 12, in forward\n    x = fancy(x)";
  });
  EXPECT_ERROR(Executor{program.with_graph(graph)}, InputError, "torch.ops.mylib.fancy_conv.default", "model.py",
               "line 12");
}

TEST(Executor, RefusesControlFlow) {
  const Program program = build_builtin_program("cnn", kSmall);
  const Graph graph = changed(program, 0, [](Node& node) { node.target = "torch.ops.higher_order.cond"; });
  EXPECT_ERROR(Executor{program.with_graph(graph)}, InputError, "higher_order.cond", "control flow");
}

TEST(Executor, RefusesArgumentsThatDoNotFitTheSchema) {
  const Program program = build_builtin_program("cnn", kSmall);
  EXPECT_ERROR(
      Executor{program.with_graph(changed(program, 0, [](Node& node) { node.inputs.erase(node.inputs.begin()); }))},
      InputError, "conv2d", "\"input\"", "missing");
  EXPECT_ERROR(Executor{program.with_graph(changed(program, 0, [](Node& node) { node.set("colour", true); }))},
               InputError, "conv2d", "colour");
  EXPECT_ERROR(
      Executor{program.with_graph(changed(program, 0, [](Node& node) { node.set("input", TensorName{"ghost"}); }))},
      InputError, "conv2d", "ghost");
}

// The mlp with what the exporter adds for each conversion of a tensor's type: what it found of that tensor.
Program with_assertion(std::vector<NamedArgument> found) {
  const Program program = build_builtin_program("mlp", {.input_shape = {4}, .classes = 6, .hidden = {}, .dropout = 0});
  Graph graph = program.graph();
  found.insert(found.begin(), {"a", TensorName{"linear"}, false});
  graph.nodes.push_back({"torch.ops.aten._assert_tensor_metadata.default", std::move(found), {}, {}, "asserted"});
  return program.with_graph(graph);
}

// The type that the exporter saw before `.float()` or `.to(type)` is not the one that the job's precision gives.
TEST(Executor, ARealTypeThatTheExporterSawMayBeAnother) {
  const auto run = [](std::vector<NamedArgument> found) {
    Executor(with_assertion(std::move(found))).run({at::ones({3, 4})});
  };
  for (const int real : {6, 7, 8, 13}) EXPECT_NO_THROW(run({{"dtype", ScalarTypeNumber{real}, true}})) << real;
  EXPECT_ERROR(run({{"dtype", ScalarTypeNumber{5}, true}}), InputError, "_assert_tensor_metadata", "Expected: Long");
  EXPECT_ERROR(run({{"size", std::vector<SymInt>{std::int64_t{3}, std::int64_t{7}}, false},
                    {"dtype", ScalarTypeNumber{7}, true}}),
               InputError, "_assert_tensor_metadata");
  // Whoever reads the program again is not told of it either.
  const Program program = with_assertion({{"dtype", ScalarTypeNumber{7}, true}}).to(at::kDouble);
  EXPECT_EQ(*program.graph().nodes.back().find("dtype"), Argument(NoneArgument{}));
}

// A program whose parameters are no float32 was exported in another type: its float32 is its own.
TEST(Executor, AProgramExportedInDoubleKeepsTheFloat32ThatItNames) {
  Program program =
      build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {}, .dropout = 0}).to(at::kDouble);
  Graph graph = program.graph();
  graph.nodes.push_back({"torch.ops.aten.to.dtype",
                         {{"self", TensorName{"linear"}, false}, {"dtype", ScalarTypeNumber{7}, false}},
                         {TensorName{"narrow"}},
                         {},
                         "narrow"});
  graph.outputs = {"narrow"};
  program = program.with_graph(graph).to(at::kDouble);
  EXPECT_EQ(Executor(program).run({at::ones({3, 4}, at::kDouble)}).at(0).scalar_type(), at::kFloat);
}

// The mlp with a size that arithmetic makes: out = view(linear, [target(a, b), -1]).
Program with_arithmetic(const char* target, std::int64_t a, std::int64_t b) {
  const Program program = build_builtin_program("mlp", {.input_shape = {4}, .classes = 6, .hidden = {}, .dropout = 0});
  Graph graph = program.graph();
  graph.nodes.push_back(
      {target, {{"", SymInt(a), false}, {"", SymInt(b), false}}, {SymInt(std::string("n"))}, {}, "n"});
  graph.nodes.push_back({"torch.ops.aten.view.default",
                         {{"self", TensorName{"linear"}, false},
                          {"size", std::vector<SymInt>{std::string("n"), std::int64_t{-1}}, false}},
                         {TensorName{"out"}},
                         {},
                         "out"});
  graph.outputs = {"out"};
  return program.with_graph(graph);
}

TEST(Executor, ArithmeticOnSizesIsPythonsAndNeverOverflows) {
  const auto rows = [](const char* target, std::int64_t a, std::int64_t b) {
    return Executor(with_arithmetic(target, a, b)).run({at::zeros({6, 4})}).at(0).size(0);
  };
  EXPECT_EQ(rows("_operator.mul", 3, 4), 12);
  EXPECT_EQ(rows("_operator.floordiv", -7, -2), 3);
  EXPECT_EQ(rows("_operator.mod", -7, 9), 2);
  EXPECT_EQ(rows("_operator.pow", 3, 2), 9);
  constexpr std::int64_t kLeast = INT64_MIN;
  for (const auto& [target, a, b] :
       {std::tuple("_operator.floordiv", kLeast, std::int64_t{-1}),
        std::tuple("_operator.mod", kLeast, std::int64_t{-1}), std::tuple("_operator.mul", kLeast, std::int64_t{2}),
        std::tuple("_operator.sub", kLeast, std::int64_t{1}),
        std::tuple("_operator.add", std::int64_t{INT64_MAX}, std::int64_t{1}),
        std::tuple("_operator.pow", std::int64_t{3}, std::int64_t{INT64_MAX})}) {
    EXPECT_ERROR(rows(target, a, b), InputError, target, "64 bits");
  }
  EXPECT_ERROR(rows("_operator.floordiv", 1, 0), InputError, "division by zero");
}

TEST(Executor, RefusesAnIntegerResultWithoutAName) {
  const Program program = with_arithmetic("_operator.mul", 2, 3);
  Graph graph = program.graph();
  graph.nodes[graph.nodes.size() - 2].outputs = {SymInt(std::int64_t{3})};
  EXPECT_ERROR(Executor{program.with_graph(graph)}, InputError, "_operator.mul", "without a name");
}

// reflection_pad3d reads six integers, however many are given.
TEST(Executor, ListsAreAsLongAsTheSchemaSays) {
  const Program program = build_builtin_program("mlp", {.input_shape = {2, 5, 5, 5}, .classes = 6, .dropout = 0});
  const auto padded = [&](std::vector<std::int64_t> padding) {
    Graph graph = program.graph();
    graph.nodes = {{"torch.ops.aten.reflection_pad3d.default",
                    {{"self", TensorName{"x"}, false}, {"padding", std::move(padding), false}},
                    {TensorName{"out"}},
                    {},
                    "out"}};
    graph.outputs = {"out"};
    return Executor(program.with_graph(graph)).run({at::rand({3, 2, 5, 5, 5})}).at(0).sizes().vec();
  };
  EXPECT_EQ(padded({1, 0, 0, 0, 0, 0}), (std::vector<std::int64_t>{3, 2, 5, 5, 6}));
  EXPECT_EQ(padded({1}), (std::vector<std::int64_t>{3, 2, 7, 7, 7}));
  EXPECT_ERROR(padded({}), InputError, "reflection_pad3d", "\"padding\" takes 6 integers, not 0");
  EXPECT_ERROR(padded({1, 1}), InputError, "takes 6 integers, not 2");
}

// The dispatcher passes types of elements as integers, and operators crash at those that are none.
TEST(Executor, ATypeOfElementsIsNoInteger) {
  const Program program = build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {}, .dropout = 0});
  const auto zeros = [&](Argument type) {
    Graph graph = program.graph();
    graph.nodes.back().target = "torch.ops.aten.zeros.default";
    graph.nodes.back().inputs = {{"size", std::vector<std::int64_t>{3, 2}}, {"dtype", std::move(type), true}};
    return Executor(program.with_graph(graph)).run({at::rand({3, 4})}).at(0).scalar_type();
  };
  EXPECT_EQ(zeros(ScalarTypeNumber{8}), at::kDouble);
  EXPECT_EQ(zeros(NoneArgument{}), at::kFloat);
  for (const Argument& other : {Argument(std::int64_t{-2}), Argument(SymInt(std::int64_t{6})), Argument(true)}) {
    EXPECT_ERROR(zeros(other), InputError, "zeros", "\"dtype\" is no type of elements");
  }
}

// The fused form reads one g for each row of v, whether they are there or not.
TEST(Executor, GuardsOperatorsThatTrustTheirArguments) {
  const ArgumentGuard guard = argument_guard("aten::_weight_norm_interface");
  ASSERT_NE(guard, nullptr);
  EXPECT_NO_THROW(guard({at::rand({4, 3}), at::rand({4, 1}), 0}));
  EXPECT_NO_THROW(guard({at::rand({4, 3, 2}), at::rand({1, 3, 1}), 1}));  // not fused: it broadcasts or refuses
  EXPECT_ERROR(guard({at::rand({4, 3}), at::rand({3, 1}), 0}), InputError, "3 elements for 4 slices");
  EXPECT_ERROR(guard({at::rand({0, 3}), at::rand({0, 1}), 0}), InputError, "empty");
  EXPECT_ERROR(argument_guard("aten::matrix_power")({at::rand({3, 3}), INT64_MIN}), InputError, "out of reach");
  EXPECT_EQ(argument_guard("aten::relu"), nullptr);
}

TEST(Executor, AValueIsDefinedOnce) {
  const Program program = build_builtin_program("cnn", kSmall);
  for (const char* name : {"x", "p_fc1_weight", "relu"}) {
    Graph graph = program.graph();
    graph.nodes.push_back(graph.nodes.front());
    graph.nodes.back().outputs = {TensorName{name}};
    EXPECT_ERROR(Executor{program.with_graph(graph)}, InputError, "defines \"" + std::string(name) + "\" twice");
  }
}

json& stated(Graph& graph, const char* value) {
  return graph.document["graph_module"]["graph"]["tensor_values"][value]["sizes"];
}

std::vector<at::Tensor> run_checked(const Program& program, const std::vector<std::int64_t>& sizes) {
  SizeCheck check(program.graph());
  return Executor(program).run({at::rand(sizes)}, &check);
}

TEST(SizeCheck, PassesWhatIsAsTheGraphSays) {
  const Program program = build_builtin_program("cnn", kSmall);
  for (const std::int64_t batch : {1, 2, 7}) EXPECT_NO_THROW(run_checked(program, {batch, 2, 8, 8}));
}

// Other sizes than the graph says crashed what counted on them: passes, artifacts, figures.
TEST(SizeCheck, RefusesWhatIsNot) {
  const Program program = build_builtin_program("cnn", kSmall);
  const auto run = [&](const char* value, const json& sizes) {
    Graph graph = program.graph();
    stated(graph, value) = sizes;
    run_checked(program.with_graph(graph), {3, 2, 8, 8});
  };
  const json batch = {{"as_expr", {{"expr_str", "Symbol('s0', positive=True, integer=True)"}}}};
  const auto known = [](std::int64_t size) { return json{{"as_int", size}}; };
  EXPECT_ERROR(run("linear", json::array()), InputError, "linear", "[3, 5]", "the program says []");
  EXPECT_ERROR(run("linear", json::array({batch, known(6)})), InputError, "[3, 5]", "says [3, 6]");
  EXPECT_ERROR(run("linear", json::array({batch, batch})), InputError, "[3, 5]", "says [3, 3]");
  EXPECT_ERROR(run("linear", json::array({batch, known(5), known(1)})), InputError, "linear");
  EXPECT_ERROR(run("x", json::array({batch, known(2), known(8)})), InputError, "\"x\"", "[3, 2, 8, 8]");
  const json expression = {{"as_expr", {{"expr_str", "2*s0"}}}};
  EXPECT_NO_THROW(run("linear", json::array({batch, expression})));  // it is 5 here, and nothing else says what it is
}

// 8 TB were asked for before anything was compared.
TEST(SizeCheck, RefusesBeforeMemoryIsTaken) {
  const Program program = build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {}, .dropout = 0});
  Graph graph = program.graph();
  graph.nodes.back().target = "torch.ops.aten.new_zeros.default";
  graph.nodes.back().inputs = {{"self", TensorName{"x"}}, {"size", std::vector<std::int64_t>{1LL << 40, 2}}};
  EXPECT_ERROR(run_checked(program.with_graph(graph), {3, 4}), InputError, "new_zeros",
               "would have the sizes [1099511627776, 2]", "says [3, 2]");
}

TEST(Executor, AnOperatorsRefusalNamesIt) {
  const Program program = build_builtin_program("cnn", kSmall);
  EXPECT_ERROR(Executor(program).run({at::randn({4, 7, 8, 8})}), InputError, "conv2d", "7 channels");
  EXPECT_ERROR(Executor(program).run({}), InputError, "takes 1 inputs, not 0");
}

TEST(EvalForm, TurnsTrainingBehaviourOffAndNothingElse) {
  const Program program = build_builtin_program("cnn", kSmall);
  const Graph inference = eval_form(program.graph());
  EXPECT_EQ(inference.nodes.size(), program.graph().nodes.size() - 1);  // the batch counter
  std::vector<std::string> targets;
  for (const Node& node : inference.nodes) {
    for (const auto& [target, flag] : {std::pair("batch_norm", "training"), std::pair("dropout", "train")}) {
      if (node.target == std::string("torch.ops.aten.") + target + ".default") {
        EXPECT_FALSE(std::get<bool>(*node.find(flag)));
      }
    }
    targets.push_back(node.target);
  }
  EXPECT_EQ(targets.front(), "torch.ops.aten.conv2d.default");
  EXPECT_EQ(targets.back(), "torch.ops.aten.linear.default");
}

TEST(EvalForm, ALayerThatIsUsedTwiceStopsCountingTwice) {
  const Program program = build_builtin_program("cnn", kSmall);
  Graph graph = program.graph();
  const auto first = std::ranges::find(graph.nodes, "torch.ops.aten.add_.Tensor", &Node::target);
  Node second = *first;
  second.set("self", TensorName{first->output()});
  second.outputs = {TensorName{"counted_again"}};
  graph.nodes.push_back(second);
  const Graph inference = eval_form(graph);
  EXPECT_EQ(inference.nodes.size(), graph.nodes.size() - 2);
  EXPECT_NO_THROW(Executor{program.with_graph(inference)});
}

// y = x · (noise.bernoulli_(p) / p), as torchvision writes stochastic depth.
Program stochastic_depth(const char* draw) {
  Program program = build_builtin_program("mlp", {.input_shape = {4}, .classes = 4, .hidden = {}, .dropout = 0});
  Graph graph = program.graph();
  const auto node = [&](const char* target, std::vector<NamedArgument> inputs, const char* output) {
    graph.nodes.push_back({target, std::move(inputs), {TensorName{output}}, nlohmann::json::object(), output});
  };
  node("torch.ops.aten.empty.memory_format", {{"size", std::vector<std::int64_t>{4}, false}}, "noise");
  node(draw, {{"self", TensorName{"noise"}, false}, {"p", 0.8, false}}, "drawn");
  node("torch.ops.aten.div_.Tensor", {{"self", TensorName{"drawn"}, false}, {"other", 0.8, false}}, "scaled");
  node("torch.ops.aten.mul.Tensor", {{"self", TensorName{"linear"}, false}, {"other", TensorName{"scaled"}, false}},
       "out");
  graph.outputs = {"out"};
  return program.with_graph(graph);
}

TEST(EvalForm, StochasticDepthBecomesTheIdentity) {
  const Program program = stochastic_depth("torch.ops.aten.bernoulli_.float");
  const at::Tensor x = at::randn({3, 4});
  const at::Tensor plain =
      Executor(build_builtin_program("mlp", {.input_shape = {4}, .classes = 4, .hidden = {}, .dropout = 0}))
          .run({x})
          .at(0);
  EXPECT_TRUE(at::equal(Executor(program.with_graph(eval_form(program.graph()))).run({x}).at(0), plain));
}

TEST(EvalForm, RefusesNoiseThatIsPartOfTheModel) {
  EXPECT_ERROR(eval_form(stochastic_depth("torch.ops.aten.uniform_.default").graph()), InputError, "uniform_",
               "random");
}

TEST(EvalForm, RefusesABufferThatInferenceWouldChange) {
  const Program program = build_builtin_program("cnn", kSmall);
  Graph graph = program.graph();
  graph.nodes.push_back({"torch.ops.aten.mul_.Tensor",
                         {{"self", TensorName{"b_block1_norm_running_var"}, false}, {"other", 0.9, false}},
                         {TensorName{"decayed"}},
                         nlohmann::json::object(),
                         "decayed"});
  EXPECT_ERROR(eval_form(graph), InputError, "mul_", "block1.norm.running_var");
}

TEST(EvalForm, TellsAProgramThatWasExportedForInference) {
  const Program program = build_builtin_program("cnn", kSmall);
  EXPECT_EQ(find_inference_node(program.graph()), nullptr);
  const Graph inference = eval_form(program.graph());
  ASSERT_NE(find_inference_node(inference), nullptr);
  EXPECT_EQ(find_inference_node(inference)->target, "torch.ops.aten.batch_norm.default");
}

// As under torch.no_grad, also where a buffer is changed in place by what has a gradient.
TEST(Executor, ANodeWithoutGradientsIsNotRecorded) {
  const Program program = build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {}, .dropout = 0});
  Graph graph = program.graph();
  const auto add = [&](const char* target, const char* self, const char* output, bool gradients) {
    graph.nodes.push_back({.target = target,
                           .inputs = {{"self", TensorName{self}}},
                           .outputs = {TensorName{output}},
                           .name = output,
                           .gradients = gradients});
  };
  add("torch.ops.aten.sin.default", "linear", "fixed", false);
  add("torch.ops.aten.sin.default", "linear", "free", true);
  graph.outputs = {"fixed", "free"};
  Executor executor(program.with_graph(graph));
  const std::vector<at::Tensor> outputs = executor.run({at::ones({3, 4})});
  EXPECT_FALSE(outputs[0].requires_grad());
  EXPECT_TRUE(outputs[1].requires_grad());
  EXPECT_TRUE(at::equal(outputs[0], outputs[1]));
  const c10::NoGradGuard no_grad;
  EXPECT_FALSE(executor.run({at::ones({3, 4})})[1].requires_grad());
}

}  // namespace
}  // namespace lockstep

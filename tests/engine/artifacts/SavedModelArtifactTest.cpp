#include "engine/artifacts/SavedModelArtifact.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "common/Error.h"
#include "common/File.h"
#include "engine/artifacts/primitives/PrimitiveLowering.h"
#include "engine/artifacts/tensorflow/SavedModel.h"
#include "engine/artifacts/tensorflow/TensorflowInterpreter.h"
#include "engine/artifacts/tensorflow/TensorflowWriter.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestGraph.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using T = TestGraph;

Program inference(const Program& program) { return program.with_graph(eval_form(program.graph())); }

Program cnn(std::int64_t image_channels = 1) {
  return inference(build_builtin_program(
      "cnn", {.input_shape = {image_channels, 8, 8}, .classes = 3, .channels = {4, 6}, .hidden = {5}}));
}

WrittenFunction written(const Graph& graph, const TiedNames& tied = {}) {
  return TensorflowWriter::write(lower_to_primitives(graph, tied), graph);
}

std::ptrdiff_t count(const TensorflowFunction& function, const std::string& op) {
  return std::ranges::count(function.nodes, op, &TensorflowNode::op);
}

const TensorflowVariable& variable(const WrittenFunction& made, const std::string& name) {
  for (const TensorflowVariable& variable : made.function.variables) {
    if (variable.names.at(0) == name) return variable;
  }
  throw InternalError("no variable " + name);
}

void overwrite(const fs::path& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

TEST(SavedModelArtifact, TransposesImagesOnceOnTheWayInAndOnceOnTheWayOut) {
  EXPECT_EQ(count(written(cnn(3).graph()).function, "Transpose"), 2);
  // With one channel, NCHW and NHWC are the same bytes.
  EXPECT_EQ(count(written(cnn(1).graph()).function, "Transpose"), 1);
}

TEST(SavedModelArtifact, StoresKernelsAsTensorflowHasThemAndDropsWhatInferenceDoesNotUse) {
  const WrittenFunction made = written(cnn(3).graph());
  EXPECT_EQ(variable(made, "block1.conv.weight").sizes, (std::vector<std::int64_t>{3, 3, 3, 4}));
  EXPECT_EQ(variable(made, "fc1.weight").sizes, (std::vector<std::int64_t>{5, 24}));
  EXPECT_TRUE(variable(made, "block1.conv.weight").trainable);
  EXPECT_FALSE(variable(made, "block1.norm.running_mean").trainable);
  EXPECT_THROW(variable(made, "block1.norm.num_batches_tracked"), InternalError);
  EXPECT_EQ(made.function.inputs.at(0).sizes, (std::vector<std::int64_t>{-1, 3, 8, 8}));
}

TEST(SavedModelArtifact, TiedParametersAreOneVariable) {
  const WrittenFunction made =
      written(inference(build_builtin_program("mlp", {.input_shape = {4}, .classes = 4, .hidden = {4}})).graph(),
              {{"fc2.weight", "fc1.weight"}});
  EXPECT_EQ(variable(made, "fc1.weight").names, (std::vector<std::string>{"fc1.weight", "fc2.weight"}));
  EXPECT_EQ(made.function.variables.size(), 3);
}

// A program of the graph, its state drawn at random; variances are positive.
Program program_of(const Graph& graph) {
  std::map<std::string, at::Tensor> state;
  for (const GraphInput& input : graph.inputs) {
    if (input.kind == InputKind::kUserInput) continue;
    std::vector<std::int64_t> sizes;
    for (const Dimension& size : graph.sizes(input.value)) sizes.push_back(std::get<std::int64_t>(size));
    state[input.state_name] = at::rand(sizes) + 0.1;
  }
  return Program("test", graph, state);
}

// Whether the SavedModel computes what the graph's program computes.
void expect_same(const Graph& graph, const std::vector<std::int64_t>& input_sizes) {
  const Program program = program_of(graph);
  const auto probes = make_probes(program, {Probe::Inputs{at::randn(input_sizes)}});
  EXPECT_NO_THROW(SavedModelArtifact().check(program, probes));
  const TemporaryDirectory directory;
  SavedModelArtifact().write(program, directory.path());
  EXPECT_EQ(difference(SavedModelArtifact().read_back(program, directory.path()), probes), "");
}

NamedArgument tensor(const std::string& argument, const std::string& value) { return T::tensor(argument, value); }

TEST(SavedModelArtifact, AStateUsedInTwoOrdersIsStoredOnce) {
  for (const bool kernel_first : {true, false}) {
    T graph;
    graph.input("x", {"s0", 2, 7, 8}).parameter("w", {4, 2, 3, 5});
    const auto conv = [&] {
      graph.node("conv2d.default", {tensor("input", "x"), tensor("weight", "w")}, "y", {"s0", 4, 5, 4});
    };
    if (kernel_first) conv();
    graph.node("add.Tensor", {tensor("self", "w"), tensor("other", "w")}, "sum", {4, 2, 3, 5});
    if (!kernel_first) conv();
    const Graph done = graph.returns({"y", "sum"});
    const WrittenFunction made = written(done);
    EXPECT_EQ(variable(made, "w").sizes,
              kernel_first ? (std::vector<std::int64_t>{3, 5, 2, 4}) : (std::vector<std::int64_t>{4, 2, 3, 5}));
    EXPECT_EQ(made.function.outputs.at(1).sizes, (std::vector<std::int64_t>{4, 2, 3, 5}));
    EXPECT_EQ(made.function.variables.size(), 1);
    expect_same(done, {3, 2, 7, 8});
  }
}

TEST(SavedModelArtifact, BiasAddIsForVectorsOfAllChannels) {
  const std::vector<std::pair<T::Sizes, std::ptrdiff_t>> cases = {
      {{6}, 1}, {{}, 0}, {{1}, 0}, {{1, 6}, 0}};  // sizes of the bias, and how many BiasAdd
  for (const T::Sizes& rows : {T::Sizes{"s0", 5}, T::Sizes{"s0", 2, 5}}) {
    for (const auto& [sizes, bias_adds] : cases) {
      T graph;
      T::Sizes out = rows;
      out.back() = 6;
      graph.input("x", rows).parameter("w", {6, 5}).parameter("b", sizes);
      graph.node("linear.default", {tensor("input", "x"), tensor("weight", "w"), tensor("bias", "b")}, "y", out);
      const Graph done = graph.returns({"y"});
      EXPECT_EQ(count(written(done).function, "BiasAdd"), bias_adds);
      expect_same(done, rows.size() == 2 ? std::vector<std::int64_t>{3, 5} : std::vector<std::int64_t>{3, 2, 5});
    }
  }
  T computed;
  computed.input("x", {"s0", 5}).parameter("w", {6, 5});
  computed.node("linear.default", {tensor("input", "x"), tensor("weight", "w")}, "b", {"s0", 6});
  computed.node("linear.default", {tensor("input", "x"), tensor("weight", "w"), tensor("bias", "b")}, "y", {"s0", 6});
  expect_same(computed.returns({"y"}), {3, 5});
}

// In inference form, of the parameters scale, offset, mean and var.
void add_batch_norm(T& graph, const std::string& input, const std::string& output, const T::Sizes& sizes) {
  graph.node("batch_norm.default",
             {tensor("input", input),
              tensor("weight", "scale"),
              tensor("bias", "offset"),
              tensor("running_mean", "mean"),
              tensor("running_var", "var"),
              {"training", false, false},
              {"momentum", 0.1, false},
              {"eps", 0.1, false},
              {"cudnn_enabled", true, false}},
             output, sizes);
}

TEST(SavedModelArtifact, NothingIsFusedWithAGroupedConvolution) {
  for (const std::int64_t groups : {1, 2}) {
    T graph;
    graph.input("x", {"s0", 4, 5, 5}).parameter("w", {6, 4 / groups, 3, 3});
    for (const char* name : {"b", "scale", "offset", "mean", "var"}) graph.parameter(name, {6});
    const NamedArgument group_argument{"groups", groups, false};
    graph.node("conv2d.default", {tensor("input", "x"), tensor("weight", "w"), tensor("bias", "b"), group_argument},
               "biased", {"s0", 6, 3, 3});
    graph.node("conv2d.default", {tensor("input", "x"), tensor("weight", "w"), group_argument}, "plain",
               {"s0", 6, 3, 3});
    graph.node("view.default", {tensor("self", "plain"), {"size", std::vector<std::int64_t>{-1, 6, 3, 3}, false}},
               "viewed", {"s0", 6, 3, 3});
    add_batch_norm(graph, "viewed", "normed", {"s0", 6, 3, 3});
    const Graph done = graph.returns({"biased", "normed"});
    const TensorflowFunction function = written(done).function;
    EXPECT_EQ(count(function, "BiasAdd"), groups == 1 ? 1 : 0);
    EXPECT_EQ(count(function, "FusedBatchNormV3"), groups == 1 ? 1 : 0);
    expect_same(done, {3, 4, 5, 5});
  }
}

TEST(SavedModelArtifact, BatchNormIsOneOperatorWhereAConvolutionTakesIt) {
  for (const bool behind_convolution : {true, false}) {
    T graph;
    graph.input("x", {"s0", 6, 5, 5}).parameter("w", {6, 6, 1, 1});
    for (const char* name : {"scale", "offset", "mean", "var"}) graph.parameter(name, {6});
    if (behind_convolution) {
      graph.node("conv2d.default", {tensor("input", "x"), tensor("weight", "w")}, "y", {"s0", 6, 5, 5});
    } else {
      graph.node("relu.default", {tensor("self", "x")}, "y", {"s0", 6, 5, 5});
    }
    add_batch_norm(graph, "y", "normed", {"s0", 6, 5, 5});
    const Graph done = graph.returns({"normed"});
    EXPECT_EQ(count(written(done).function, "FusedBatchNormV3"), behind_convolution ? 1 : 0);
    expect_same(done, {3, 6, 5, 5});
  }
}

TEST(SavedModelArtifact, BatchNormHasItsOwnEpsilon) {
  Graph graph = cnn(3).graph();
  for (Node& node : graph.nodes) {
    if (node.target == "torch.ops.aten.batch_norm.default") node.set("eps", 0.1);
  }
  expect_same(graph, {3, 3, 8, 8});
}

// A graph of one operator on x.
Graph one(const std::string& op, const T::Sizes& sizes, const std::vector<NamedArgument>& arguments,
          const T::Sizes& out, int type = 7) {
  T graph;
  graph.input("x", sizes, type);
  return graph.node(op, arguments, "y", out, type).returns({"y"});
}

TEST(SavedModelArtifact, RefusesWhatTensorflowDoesNotHave) {
  const NamedArgument self = tensor("self", "x");
  const NamedArgument input = tensor("input", "x");
  const T::Sizes images = {"s0", 2, 8, 8};
  const auto with = [](T graph, const std::string& op, std::vector<NamedArgument> arguments, const T::Sizes& out) {
    return graph.node(op, std::move(arguments), "y", out).returns({"y"});
  };
  const std::vector<std::pair<Graph, std::string>> cases = {
      {one("dropout.default", images, {input, {"p", 0.5, false}, {"train", true, false}}, images), "drops at random"},
      {one("max_pool2d.default", {"s0", 2, "s1", "s1"},
           {self, {"kernel_size", std::vector<std::int64_t>{2, 2}, false}, {"ceil_mode", true, false}},
           {"s0", 2, "s2", "s2"}),
       "ceil_mode needs images of known size"},
      {with(T().input("x", {"s0", 2, 1, 2, 1, 2}).parameter("p", {2, 1, 2, 1, 2, 1}), "add.Tensor",
            {self, tensor("other", "p")}, {"s0", 2, 2, 2, 2, 2}),
       "does not broadcast"},
      {with(T().input("x", images).parameter("w", {2, 2, 3, 3}), "conv2d.default",
            {input, tensor("weight", "w"), {"stride", std::vector<SymInt>{std::string("n"), std::int64_t{1}}}}, images),
       "reads the integer \"n\""},
  };
  for (const auto& [graph, why] : cases) {
    EXPECT_ERROR(SavedModelArtifact().check(program_of(graph), {}), InputError, why, graph.nodes[0].target,
                 "Leave saved_model out");
  }
  const auto signatures = [](const std::string& name) {
    T graph;
    graph.input("x", {"s0", 5}).parameter(name, {6, 5});
    return graph.node("linear.default", {tensor("input", "x"), tensor("weight", name)}, "y", {"s0", 6}).returns({"y"});
  };
  EXPECT_ERROR(written(signatures("signatures.weight")), InputError, "has no place for", "\"signatures.weight\"");
  EXPECT_ERROR(written(signatures("fc.weight"), {{"signatures.weight", "fc.weight"}}), InputError, "has no place for",
               "\"signatures.weight\"");
}

TEST(SavedModelArtifact, ReturnsParametersToo) {
  T graph;
  graph.input("x", {"s0", 5}).parameter("w", {6, 5});
  graph.node("linear.default", {tensor("input", "x"), tensor("weight", "w")}, "y", {"s0", 6});
  expect_same(graph.returns({"y", "w"}), {3, 5});
}

TEST(SavedModelArtifact, BroadcastsInUpToFiveRuns) {
  EXPECT_EQ(broadcast_runs({2, 3, 4}, {2, 3, 4}), 0);
  EXPECT_EQ(broadcast_runs({2, 3, 4}, {}), 1);
  EXPECT_EQ(broadcast_runs({-1, 3, 4}, {3, 1}), 3);
  EXPECT_EQ(broadcast_runs({5, 2, 1, 2, 1, 2, 7}, {1, 1, 2, 1, 2, 1, 7}), 6);
  EXPECT_EQ(broadcast_runs({5, 2, 1, 2, 1, 2, 7}, {1, 1, 1, 1, 1, 1, 7}), 2);  // ones on both sides do not count
  expect_same(
      [] {
        T graph;
        graph.input("x", {"s0", 1, 2, 1, 2}).parameter("p", {1, 2, 1, 2, 1});
        return graph.node("add.Tensor", {tensor("self", "x"), tensor("other", "p")}, "y", {"s0", 2, 2, 2, 2})
            .returns({"y"});
      }(),
      {3, 1, 2, 1, 2});
}

TEST(SavedModelArtifact, RefusesWritesThatAreReadUnderAnotherName) {
  const auto graph = [](const std::string& op, const std::vector<std::string>& returned) {
    T made;
    made.input("x", {"s0", 4}).node("relu.default", {tensor("self", "x")}, "y", {"s0", 4});
    const bool dropout = op.starts_with("dropout");
    std::vector<NamedArgument> arguments = {tensor(dropout ? "input" : "self", "y")};
    if (dropout) arguments.insert(arguments.end(), {{"p", 0.5, false}, {"train", false, false}});
    if (op.starts_with("view") || op.starts_with("reshape")) {
      arguments.push_back({op.starts_with("view") ? "size" : "shape", std::vector<std::int64_t>{-1, 4}, false});
    }
    made.node(op, arguments, "z", {"s0", 4});
    made.node("add_.Tensor", {tensor("self", "z"), {"other", 1.0, false}}, "w", {"s0", 4});
    Graph done = made.returns(returned);
    done.nodes[2].metadata["stack_trace"] = "  File \"net.py\", line 12, in forward\n    z += 1\n";
    return done;
  };
  for (const char* op :
       {"flatten.using_ints", "view.default", "reshape.default", "dropout.default", "contiguous.default"}) {
    EXPECT_ERROR(written(graph(op, {"w", "y"})), InputError, "add_.Tensor", "net.py", "line 12",
                 "changes in place what is read later as \"y\"");
    EXPECT_NO_THROW(written(graph(op, {"w"}))) << op;
  }
}

TEST(SavedModelArtifact, IsRefusedBeforehandWhenItWouldComputeSomethingElse) {
  const Program program = cnn(3);
  auto probes = make_probes(program, {Probe::Inputs{at::randn({2, 3, 8, 8})}});
  EXPECT_NO_THROW(SavedModelArtifact().check(program, probes));
  probes[0].outputs[0] = probes[0].outputs[0] + 1.0;
  EXPECT_ERROR(SavedModelArtifact().check(program, probes), InputError, "would not compute", "differs by up to 1",
               "Leave saved_model out");
}

TEST(TensorflowInterpreter, RefusesWhatTensorflowsOperatorsDoNotTake) {
  const auto run = [](const std::string& op, TensorflowAttributes attributes, const std::vector<at::Tensor>& inputs) {
    TensorflowFunction function;
    TensorflowNode node{"n", op, {}, std::move(attributes)};
    std::map<std::string, at::Tensor> values;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::string name = "x" + std::to_string(i);
      function.inputs.push_back({name, ElementType::kFloat, inputs[i].sizes().vec(), name});
      values[name] = inputs[i];
      node.inputs.push_back(name);
    }
    function.nodes = {node};
    function.outputs = {{"y", ElementType::kFloat, {}, "n:" + output_name(op) + ":0"}};
    TensorflowInterpreter(function, {}).run(values);
  };
  const TensorflowAttributes bias = {{"data_format", std::string("NHWC")}};
  EXPECT_NO_THROW(run("BiasAdd", bias, {at::ones({2, 3}), at::ones({3})}));
  for (const at::Tensor& wrong : {at::ones({}), at::ones({1}), at::ones({1, 3})}) {
    EXPECT_ERROR(run("BiasAdd", bias, {at::ones({2, 3}), wrong}), InternalError, "BiasAdd does not take");
  }
  EXPECT_ERROR(run("MatMul", {{"transpose_a", false}, {"transpose_b", true}}, {at::ones({2, 2, 3}), at::ones({4, 3})}),
               InternalError, "MatMul does not take Float [2, 2, 3], Float [4, 3]");
  const TensorflowAttributes norm = {{"data_format", std::string("NHWC")}, {"is_training", false}, {"epsilon", 1e-5F}};
  const at::Tensor three = at::ones({3});
  EXPECT_NO_THROW(run("FusedBatchNormV3", norm, {at::ones({2, 4, 4, 3}), three, three, three, three}));
  EXPECT_THROW(run("FusedBatchNormV3", norm, {at::ones({2, 3}), three, three, three, three}), InternalError);
  EXPECT_THROW(run("FusedBatchNormV3", norm, {at::ones({2, 4, 4, 3}), at::ones({1}), three, three, three}),
               InternalError);
  EXPECT_THROW(run("AddV2", {}, {at::ones({2}), at::ones({2}, at::kDouble)}), InternalError);
}

TEST(WriteSavedModel, ReportsADirectoryThatCannotBeMade) {
  const TemporaryDirectory directory;
  overwrite(directory / "1", "a file");
  EXPECT_ERROR(SavedModelArtifact().write(cnn(), directory.path()), SystemError, "cannot make the directory",
               "variables");
}

TEST(SavedModelArtifact, RefusesByOperatorAndSourceLine) {
  Graph graph = cnn().graph();
  for (Node& node : graph.nodes) {
    if (node.target.find("relu") == std::string::npos) continue;
    node.target = "torch.ops.aten.erfinv.default";
    node.metadata["stack_trace"] = "  File \"net.py\", line 12, in forward\n    x = x.erfinv()\n";
  }
  EXPECT_ERROR(SavedModelArtifact().check(cnn().with_graph(graph), {}), InputError, "torch.ops.aten.erfinv.default",
               "net.py", "line 12", "saved_model", "export");
  EXPECT_ERROR(written(build_builtin_program("cnn", {.input_shape = {1, 8, 8}}).graph()), InputError, "add_.Tensor");
}

TEST(SavedModelArtifact, ComputesWhatTheProgramComputes) {
  const TemporaryDirectory directory;
  for (const Program& program : {cnn(1), cnn(3), cnn(3).to(at::kDouble)}) {
    const SavedModelArtifact artifact;
    artifact.check(program, {});
    artifact.write(program, directory.path());
    const auto model = artifact.read_back(program, directory.path());
    const std::int64_t channels = std::get<std::int64_t>(program.graph().sizes("x").at(1));
    const auto type = scalar_type_from_archive(program.graph().scalar_type("x"));
    const at::Tensor x = at::randn({5, channels, 8, 8}, type);
    const double tolerance = type == at::kDouble ? 1e-12 : 1e-4;  // of class scores that are sums of some hundred terms
    EXPECT_TRUE(at::allclose(model({x}).at(0), make_model(program)({x}).at(0), tolerance, tolerance));
  }
}

TEST(SavedModelArtifact, ChannelsLastParametersAreWrittenTheSame) {
  const TemporaryDirectory directory;
  const Program program = cnn(3);
  const SavedModelArtifact artifact;
  artifact.write(program, directory.path());
  const std::string expected = read_file(directory / "1/variables/variables.data-00000-of-00001", 1 << 24);
  std::map<std::string, at::Tensor> state;
  for (const StateTensor& entry : program.state()) {
    state[entry.name] =
        entry.tensor.dim() == 4 ? entry.tensor.contiguous(at::MemoryFormat::ChannelsLast) : entry.tensor;
  }
  artifact.write(Program(program.name(), program.graph(), state), directory.path());
  EXPECT_EQ(read_file(directory / "1/variables/variables.data-00000-of-00001", 1 << 24), expected);
}

TEST(SavedModelArtifact, NoticesEveryFlippedByteAndMissingFile) {
  const TemporaryDirectory directory;
  const Program program = inference(build_builtin_program("mlp", {.input_shape = {3}, .classes = 2, .hidden = {2}}));
  const SavedModelArtifact artifact;
  artifact.write(program, directory.path());
  const auto read = [&] { artifact.read_back(program, directory.path()); };
  EXPECT_NO_THROW(read());
  for (const char* name : {"1/saved_model.pb", "1/variables/variables.data-00000-of-00001"}) {
    const std::string good = read_file(directory / name, 1 << 24);
    for (std::size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 1);
      overwrite(directory / name, bad);
      EXPECT_ANY_THROW(read()) << "byte " << i << " of " << name;
    }
    overwrite(directory / name, good.substr(0, good.size() - 1));
    EXPECT_THROW(read(), InputError) << name;
    fs::remove(directory / name);
    EXPECT_ERROR(read(), InputError, name);
    overwrite(directory / name, good);
  }
  EXPECT_NO_THROW(read());
}

TEST(SavedModelArtifact, AnotherModelsVariablesDoNotBelongToIt) {
  const TemporaryDirectory one;
  const TemporaryDirectory two;
  const SavedModelArtifact artifact;
  artifact.write(cnn(1), one.path());
  artifact.write(cnn(3), two.path());
  fs::copy(two / "1/variables", one / "1/variables",
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  EXPECT_ANY_THROW(artifact.read_back(cnn(1), one.path()));
}

}  // namespace
}  // namespace lockstep

#include "engine/artifacts/SavedModelArtifact.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "common/Error.h"
#include "common/File.h"
#include "engine/artifacts/tensorflow/SavedModel.h"
#include "engine/artifacts/tensorflow/TensorflowLowering.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

Program inference(const Program& program) { return program.with_graph(eval_form(program.graph())); }

Program cnn(std::int64_t image_channels = 1) {
  return inference(build_builtin_program(
      "cnn", {.input_shape = {image_channels, 8, 8}, .classes = 3, .channels = {4, 6}, .hidden = {5}}));
}

std::ptrdiff_t count(const TensorflowFunction& function, const std::string& op) {
  return std::ranges::count(function.nodes, op, &TensorflowNode::op);
}

const TensorflowVariable& variable(const LoweredFunction& lowered, const std::string& name) {
  for (const TensorflowVariable& variable : lowered.function.variables) {
    if (variable.names.at(0) == name) return variable;
  }
  throw InternalError("no variable " + name);
}

void overwrite(const fs::path& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

TEST(TensorflowLowering, TransposesImagesOnceOnTheWayInAndOnceOnTheWayOut) {
  EXPECT_EQ(count(TensorflowLowering::lower(cnn(3).graph()).function, "Transpose"), 2);
  // With one channel, NCHW and NHWC are the same bytes.
  EXPECT_EQ(count(TensorflowLowering::lower(cnn(1).graph()).function, "Transpose"), 1);
}

TEST(TensorflowLowering, StoresKernelsAsTensorflowHasThemAndDropsWhatInferenceDoesNotUse) {
  const LoweredFunction lowered = TensorflowLowering::lower(cnn(3).graph());
  EXPECT_EQ(variable(lowered, "block1.conv.weight").sizes, (std::vector<std::int64_t>{3, 3, 3, 4}));
  EXPECT_EQ(variable(lowered, "fc1.weight").sizes, (std::vector<std::int64_t>{5, 24}));
  EXPECT_TRUE(variable(lowered, "block1.conv.weight").trainable);
  EXPECT_FALSE(variable(lowered, "block1.norm.running_mean").trainable);
  EXPECT_THROW(variable(lowered, "block1.norm.num_batches_tracked"), InternalError);
  EXPECT_EQ(lowered.function.inputs.at(0).sizes, (std::vector<std::int64_t>{-1, 3, 8, 8}));
}

TEST(TensorflowLowering, TiedParametersAreOneVariable) {
  const LoweredFunction lowered = TensorflowLowering::lower(
      inference(build_builtin_program("mlp", {.input_shape = {4}, .classes = 4, .hidden = {4}})).graph(),
      {{"fc2.weight", "fc1.weight"}});
  EXPECT_EQ(variable(lowered, "fc1.weight").names, (std::vector<std::string>{"fc1.weight", "fc2.weight"}));
  EXPECT_EQ(lowered.function.variables.size(), 3);
}

TEST(TensorflowLowering, AStateUsedInTwoOrdersIsStoredOnce) {
  Graph graph = cnn(4).graph();  // block1.conv.weight is 4 × 4 × 3 × 3; here it is also added to images of 3 × 3
  const auto found = std::ranges::find(graph.nodes, "torch.ops.aten.conv2d.default", &Node::target);
  Node sum{.target = "torch.ops.aten.add.Tensor", .inputs = {}, .outputs = {TensorName{"sum"}}, .name = "sum"};
  const std::string weight = found->tensor("weight");
  sum.inputs = {{"self", TensorName{weight}, false}, {"other", TensorName{weight}, false}};
  graph.nodes.push_back(sum);
  graph.outputs = {"sum"};
  auto& values = graph.document.at("graph_module").at("graph").at("tensor_values");
  values["sum"] = values.at(weight);
  const LoweredFunction lowered = TensorflowLowering::lower(graph);
  EXPECT_EQ(variable(lowered, "block1.conv.weight").sizes, (std::vector<std::int64_t>{3, 3, 4, 4}));
  EXPECT_EQ(lowered.function.outputs.at(0).sizes, (std::vector<std::int64_t>{4, 4, 3, 3}));
}

TEST(TensorflowLowering, RefusesByOperatorAndSourceLine) {
  Graph graph = cnn().graph();
  for (Node& node : graph.nodes) {
    if (node.target.find("relu") == std::string::npos) continue;
    node.target = "torch.ops.aten.tanh.default";
    node.metadata["stack_trace"] = "  File \"net.py\", line 12, in forward\n    x = x.tanh()\n";
  }
  EXPECT_ERROR(TensorflowLowering::lower(graph), InputError, "torch.ops.aten.tanh.default", "net.py", "line 12",
               "saved_model", "export");
  Graph dilated = cnn().graph();
  for (Node& node : dilated.nodes) {
    if (node.target.find("max_pool2d") != std::string::npos) node.set("dilation", std::vector<std::int64_t>{2, 2});
  }
  EXPECT_ERROR(TensorflowLowering::lower(dilated), InputError, "max_pool2d", "it is dilated");
  EXPECT_ERROR(TensorflowLowering::lower(build_builtin_program("cnn", {.input_shape = {1, 8, 8}}).graph()), InputError,
               "add_.Tensor");
}

TEST(SavedModelArtifact, ComputesWhatTheProgramComputes) {
  const TemporaryDirectory directory;
  for (const Program& program : {cnn(1), cnn(3), cnn(3).to(at::kDouble)}) {
    const SavedModelArtifact artifact;
    artifact.check(program);
    artifact.write(program, directory.path());
    const auto model = artifact.read_back(program, directory.path());
    const std::int64_t channels = std::get<std::int64_t>(program.graph().sizes("x").at(1));
    const auto type = scalar_type_from_archive(program.graph().scalar_type("x"));
    const at::Tensor x = at::randn({5, channels, 8, 8}, type);
    EXPECT_TRUE(at::allclose(model({x}).at(0), make_model(program)({x}).at(0), 1e-5, 1e-6));
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

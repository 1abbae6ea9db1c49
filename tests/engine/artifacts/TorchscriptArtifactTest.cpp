// TorchScript modules written and read back by libtorch. That torch.jit.load reads them is for
// tests/judges/torchscript.py.
#include "common/Error.h"
#include "engine/artifacts/TorchscriptArtifact.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/serialization/import.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "common/File.h"
#include "engine/artifacts/torchscript/TorchscriptModule.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "tests/support/ExpectError.h"
#include "tests/support/PrimitiveCases.h"
#include "tests/support/Soak.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

Program inference(const Program& program) { return program.with_graph(eval_form(program.graph())); }

Program mlp() { return inference(build_builtin_program("mlp", {.input_shape = {3}, .classes = 2, .hidden = {2}})); }

// Written, read by libtorch from the file, and run.
std::string wrong_in_the_file(const Program& program, const std::vector<Probe>& probes,
                              const ArtifactOptions& options = {}) {
  const TemporaryDirectory directory;
  const TorchscriptArtifact artifact(options);
  artifact.check(program, probes);
  artifact.write(program, directory.path());
  return difference(artifact.read_back(program, directory.path()), probes);
}

TEST(TorchscriptArtifact, ComputesWhatOperatorsCompute) {
  for (const PrimitiveCase& single : all_primitive_cases()) {
    for (const PrimitiveCase& each : {single, in_double_precision(single)}) {
      const auto probes = make_probes(each.program, each.batches);
      try {
        EXPECT_EQ(wrong_in_the_file(each.program, probes), "") << each.name;
      } catch (const Error& error) {
        ADD_FAILURE() << each.name << ": " << error.what();
      }
    }
  }
}

TEST(TorchscriptArtifact, ComputesWhatRandomProgramsCompute) {
  const std::uint64_t count = soaking() ? 5000 : 100;
  for (std::uint64_t seed = 0; seed < count; ++seed) {
    const PrimitiveCase drawn = random_primitive_case(seed);
    EXPECT_EQ(wrong_in_the_file(drawn.program, make_probes(drawn.program, drawn.batches)), "") << seed;
  }
}

TEST(TorchscriptArtifact, ComputesWhatTheProgramComputes) {
  const Program original =
      inference(build_builtin_program("cnn", {.input_shape = {1, 8, 8}, .classes = 3, .channels = {4}, .hidden = {5}}));
  for (const Program& program : {original, original.to(at::kDouble)}) {
    const auto type = scalar_type_from_archive(program.graph().scalar_type("x"));
    std::vector<Probe::Inputs> batches;
    for (const std::int64_t batch : {1, 2, 7}) batches.push_back({at::randn({batch, 1, 8, 8}, type)});
    EXPECT_EQ(wrong_in_the_file(program, make_probes(program, batches)), "");
  }
}

TEST(TorchscriptArtifact, HoldsTheStateUnderItsNames) {
  const TemporaryDirectory directory;
  const Program program =
      inference(build_builtin_program("cnn", {.input_shape = {1, 8, 8}, .classes = 3, .channels = {4}, .hidden = {5}}));
  TorchscriptArtifact({.metadata = {{"step", "7"}}}).write(program, directory.path());
  torch::jit::ExtraFilesMap extra = {{"metadata.json", ""}};
  const torch::jit::Module module = torch::jit::load(directory / "model.pt", at::kCPU, extra);
  EXPECT_EQ(extra.at("metadata.json"), R"({"program":"cnn","step":"7"})");
  EXPECT_FALSE(module.is_training());
  std::map<std::string, at::Tensor> found;
  for (const auto& parameter : module.named_parameters()) found[parameter.name] = parameter.value;
  const std::size_t parameters = found.size();
  for (const auto& buffer : module.named_buffers()) found[buffer.name] = buffer.value;
  std::size_t expected_parameters = 0;
  for (const StateTensor& entry : program.state()) {
    ASSERT_TRUE(found.contains(entry.name)) << entry.name;
    EXPECT_TRUE(at::equal(found.at(entry.name), entry.tensor)) << entry.name;
    EXPECT_EQ(found.at(entry.name).requires_grad(), entry.tensor.requires_grad()) << entry.name;
    expected_parameters += entry.kind == InputKind::kParameter ? 1 : 0;
  }
  EXPECT_EQ(found.size(), program.state().size());
  EXPECT_EQ(parameters, expected_parameters);
}

// A parameter that is a view of a larger storage brings its own elements alone, and tied ones are one storage.
TEST(TorchscriptArtifact, WritesNoMoreThanTheState) {
  const TemporaryDirectory directory;
  const Program program = mlp();
  const at::Tensor flat = at::zeros({1 << 20});
  std::map<std::string, at::Tensor> state;
  for (const StateTensor& entry : program.state()) {
    state[entry.name] = flat.narrow(0, 64, entry.tensor.numel()).view(entry.tensor.sizes()).copy_(entry.tensor);
  }
  TorchscriptArtifact().write(Program(program.name(), program.graph(), state), directory.path());
  EXPECT_LT(fs::file_size(directory / "model.pt"), 1 << 16);
}

TEST(TorchscriptArtifact, ModulesAndTensorsOfOneNameAreApart) {
  PrimitiveCaseBuilder builder("names");
  builder.input("self", {at::randn({2, 3}), at::randn({5, 3})});
  for (const char* name : {"forward", "training", "a", "a.b", "a.b.c", "a_", "x-y.0"}) {
    builder.state(name, at::randn({3}));
  }
  std::string last = "self";
  int count = 0;
  for (const char* name : {"forward", "training", "a", "a.b", "a.b.c", "a_", "x-y.0"}) {
    const std::string result = "sum_" + std::to_string(count++);
    builder.call("add.Tensor", {tensor_argument("self", last), tensor_argument("other", name)}, {result});
    last = result;
  }
  const PrimitiveCase made = builder.returns({last});
  EXPECT_EQ(wrong_in_the_file(made.program, make_probes(made.program, made.batches)), "");
}

TEST(TorchscriptArtifact, IsRefusedBeforehandWhenItWouldComputeSomethingElse) {
  const Program program = mlp();
  auto probes = make_probes(program, {Probe::Inputs{at::randn({2, 3})}});
  probes[0].outputs[0] = probes[0].outputs[0] + 1.0;
  EXPECT_ERROR(TorchscriptArtifact().check(program, probes), InputError, "would not compute", "differs by up to 1",
               "Leave torchscript out");
}

TEST(TorchscriptArtifact, RefusesByOperatorAndSourceLine) {
  const Program program = mlp();
  Graph graph = program.graph();
  for (Node& node : graph.nodes) {
    if (node.target.find("relu") == std::string::npos) continue;
    node.target = "torch.ops.aten.no_such_operator.default";
    node.metadata["stack_trace"] = "  File \"net.py\", line 12, in forward\n    x = x.nothing()\n";
  }
  EXPECT_ERROR(TorchscriptArtifact().check(program.with_graph(graph), {}), InputError,
               "torch.ops.aten.no_such_operator.default", "net.py", "line 12",
               "Leave torchscript out of the hyperparameter export");
}

TEST(TorchscriptArtifact, NamesAFileThatIsNone) {
  const TemporaryDirectory directory;
  const TorchscriptArtifact artifact;
  const auto read = [&] { artifact.read_back(mlp(), directory.path()); };
  EXPECT_ERROR(read(), InputError, "model.pt", "is missing");
  artifact.write(mlp(), directory.path());
  const std::string good = read_file(directory / "model.pt", 1 << 24);
  for (const std::string& bad : {std::string(), good.substr(0, good.size() / 2), good.substr(100)}) {
    std::ofstream(directory / "model.pt", std::ios::binary) << bad;
    EXPECT_ERROR(read(), InputError, "model.pt", "cannot be read as a TorchScript module");
  }
}

}  // namespace
}  // namespace lockstep

// Archives that were changed at random, with what a job does to a program before its first step and in it: each is
// refused or runs. `make soak` tries thousands.
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <iostream>

#include "common/Text.h"
#include "engine/artifacts/Artifact.h"
#include "engine/artifacts/Safetensors.h"
#include "engine/files/ZipFile.h"
#include "engine/program/Archive.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "engine/program/Executor.h"
#include "engine/program/Flops.h"
#include "engine/program/Passes.h"
#include "tests/support/HostileCases.h"
#include "tests/support/JsonMutator.h"
#include "tests/support/Soak.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestGraph.h"
#include "tests/support/TestZip.h"

namespace lockstep {
namespace {

using nlohmann::json;

constexpr const char* kModel = "models/model.json";
constexpr const char* kWeights = "data/weights/model_weights_config.json";

/// A whole archive in pieces, and inputs that its program takes.
struct Base {
  json model;
  json weights;
  std::vector<ZipEntry> tensors;
  at::Tensor inputs;
};

Base pieces(const Program& program, at::Tensor inputs) {
  const TemporaryDirectory directory;
  write_archive(program, directory / "base.pt2");
  const ZipFile archive(directory / "base.pt2", ZipNames::kWithinFolder);
  constexpr std::uint64_t kMost = 64 << 20;
  Base base{
      json::parse(archive.text(kModel, kMost)), json::parse(archive.text(kWeights, kMost)), {}, std::move(inputs)};
  for (int i = 0;; ++i) {
    const std::string name = "data/weights/weight_" + std::to_string(i);
    if (!archive.has(name)) return base;
    base.tensors.push_back({"a/" + name, archive.text(name, kMost)});
  }
}

// Attention as exporters write it: views, lists of tensors, sizes computed at run time.
Program attention() {
  using T = TestGraph;
  const auto one = [](const char* name, std::int64_t value) { return NamedArgument{name, value}; };
  const auto ints = [](const char* name, std::vector<SymInt> values) { return NamedArgument{name, std::move(values)}; };
  T graph;
  graph.input("x", {"s0", 6, 8}).parameter("g", {8}).parameter("b", {8}).parameter("w", {24, 8});
  graph.parameter("o", {3, 8});
  graph.node("layer_norm.default",
             {T::tensor("input", "x"),
              {"normalized_shape", std::vector<std::int64_t>{8}},
              T::tensor("weight", "g"),
              T::tensor("bias", "b")},
             "n", {"s0", 6, 8});
  graph.node("linear.default", {T::tensor("input", "n"), T::tensor("weight", "w")}, "qkv", {"s0", 6, 24});
  graph.node("split.Tensor", {T::tensor("self", "qkv"), one("split_size", 8), one("dim", 2)}, "q", {"s0", 6, 8});
  graph.node("sym_size.int", {T::tensor("self", "x"), one("dim", 0)}, "size", {});
  graph.node("view.default", {T::tensor("self", "q"), ints("size", {std::string("size"), 6, 2, 4})}, "q4",
             {"s0", 6, 2, 4});
  graph.node("transpose.int", {T::tensor("self", "q4"), one("dim0", 1), one("dim1", 2)}, "qh", {"s0", 2, 6, 4});
  graph.node("reshape.default", {T::tensor("self", "k"), {"shape", std::vector<std::int64_t>{-1, 2, 6, 4}}}, "kh",
             {"s0", 2, 6, 4});
  graph.node("reshape.default", {T::tensor("self", "v"), {"shape", std::vector<std::int64_t>{-1, 2, 6, 4}}}, "vh",
             {"s0", 2, 6, 4});
  graph.node("scaled_dot_product_attention.default",
             {T::tensor("query", "qh"), T::tensor("key", "kh"), T::tensor("value", "vh"), {"dropout_p", 0.1}}, "a",
             {"s0", 2, 6, 4});
  graph.node("permute.default", {T::tensor("self", "a"), {"dims", std::vector<std::int64_t>{0, 2, 1, 3}}}, "p",
             {"s0", 6, 2, 4});
  graph.node("flatten.using_ints", {T::tensor("self", "p"), one("start_dim", 2)}, "f", {"s0", 6, 8});
  graph.node("add_.Tensor", {T::tensor("self", "f"), T::tensor("other", "x")}, "r", {"s0", 6, 8});
  graph.node("gelu.default", {T::tensor("self", "r")}, "u", {"s0", 6, 8});
  graph.node("dropout.default", {T::tensor("input", "u"), {"p", 0.1}, {"train", true}}, "d", {"s0", 6, 8});
  graph.node("cat.default", {{"tensors", TensorNames{{"d", "x"}, false}}, one("dim", 1)}, "c", {"s0", 12, 8});
  graph.node("slice.Tensor", {T::tensor("self", "c"), one("dim", 1), one("start", 0), one("end", 9)}, "s",
             {"s0", 9, 8});
  graph.node("softmax.int", {T::tensor("self", "s"), one("dim", 2)}, "m", {"s0", 9, 8});
  graph.node("mean.dim", {T::tensor("self", "m"), {"dim", std::vector<std::int64_t>{1}}}, "y", {"s0", 8});
  graph.node("linear.default", {T::tensor("input", "y"), T::tensor("weight", "o")}, "out", {"s0", 3});
  Graph made = graph.returns({"out"});
  made.nodes[2].outputs = {TensorNames{{"q", "k", "v"}, false}};
  made.nodes[3].outputs = {SymInt(std::string("size"))};
  Graph whole = build_builtin_program("mlp", {}).graph();
  whole.document["graph_module"]["graph"]["tensor_values"] = made.document["graph_module"]["graph"]["tensor_values"];
  whole.inputs = made.inputs;
  whole.outputs = made.outputs;
  whole.nodes = made.nodes;
  const auto parameter = [](at::Tensor tensor) { return tensor.set_requires_grad(true); };
  return Program("attention", std::move(whole),
                 {{"g", parameter(at::ones({8}))},
                  {"b", parameter(at::zeros({8}))},
                  {"w", parameter(at::randn({24, 8}))},
                  {"o", parameter(at::randn({3, 8}))}});
}

std::vector<Base> bases() {
  return {pieces(build_builtin_program("cnn", {.input_shape = {1, 8, 8}, .classes = 3, .channels = {4}, .hidden = {5}}),
                 at::rand({2, 1, 8, 8})),
          pieces(attention(), at::rand({2, 6, 8}))};
}

void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

void write(const Base& base, const std::filesystem::path& path) {
  std::vector<ZipEntry> entries = base.tensors;
  entries.push_back({"a/" + std::string(kModel), base.model.dump()});
  entries.push_back({"a/" + std::string(kWeights), base.weights.dump()});
  write_file(path, zip_file(entries));
}

// What `lockstep inspect` and a job do to a program before the first step, and a step.
void use(const std::filesystem::path& path, const at::Tensor& inputs) {
  const Program program = read_archive(path);
  program.digest();
  try {
    forward_flops(program.graph(), 1);
  } catch (const InputError&) {  // inspect says so and goes on
  }
  const Program inference = program.with_graph(eval_form(program.graph()));
  const auto check_artifacts = [&](const std::vector<Probe>& probes) {
    for (const Export format : Hyperparameters().export_formats) {
      try {
        make_artifact(format)->check(inference, probes);
      } catch (const InputError&) {  // a job can go without
      }
    }
  };
  check_artifacts({});
  const std::vector<Probe> probes = make_probes(inference, {Probe::Inputs{inputs}}, /*check_sizes=*/true);
  check_artifacts(probes);
  std::vector<std::string> changes;
  const Program rewritten = apply_passes(program.to(at::kFloat), Hyperparameters().passes, changes);
  Executor executor(rewritten);
  const at::Tensor output = executor.run({inputs.clone()}).at(0);
  try {
    if (output.requires_grad()) output.sum().backward();
  } catch (const c10::Error& error) {
    throw InputError(error.what_without_backtrace());
  }
}

void expect_well(const CaseResults& results, int least_of_each) {
  EXPECT_TRUE(results.failures.empty()) << join(results.failures, "\n");
  EXPECT_GE(results.refused, least_of_each);
  EXPECT_GE(results.accepted, least_of_each);
}

class HostileArchives : public testing::Test {
 protected:
  // Children are forked: none of libtorch's threads may be there, which they would not have.
  static void SetUpTestSuite() { at::set_num_threads(1); }

  void try_out(const Base& base) const {
    write(base, directory_ / "a.pt2");
    use(directory_ / "a.pt2", base.inputs);
  }
  /// Case i is `all[i]`, in turn, after `change(i, base)`, which says what it has changed.
  CaseResults run_changed(int count, const std::vector<Base>& all,
                          const std::function<std::string(int, Base&)>& change) const {
    const auto base_of = [&](int i) { return all[static_cast<std::size_t>(i) % all.size()]; };
    const auto run = [&](int i) {
      Base base = base_of(i);
      change(i, base);
      try_out(base);
    };
    const auto describe = [&](int i) {
      Base base = base_of(i);
      return change(i, base);
    };
    return run_hostile_cases(count, run, describe);
  }

  const TemporaryDirectory directory_;
};

TEST_F(HostileArchives, UnchangedOnesRun) {
  for (const Base& base : bases()) try_out(base);
}

TEST_F(HostileArchives, ChangedGraphsAndConfigurationsAreRefusedOrRun) {
  const std::vector<Base> all = bases();
  const auto change = [&](int i, Base& base) {
    JsonMutator mutator(static_cast<std::uint64_t>(i));
    json& document = i % 5 == 0 ? base.weights : base.model;
    std::string changes;
    for (int n = i % 3; n >= 0; --n) changes += mutator.mutate(document) + "; ";
    return changes;
  };
  expect_well(run_changed(soaking() ? 4000 : 300, all, change), 30);
}

// An argument of each kind, from the values that are there.
json random_argument(JsonMutator& random, const c10::Argument& wanted, const std::vector<std::string>& values) {
  const std::vector<std::int64_t> integers = {0, 1, 2, 3, 8, -1, -2, 100, 1LL << 31, 1LL << 40, 1LL << 62};
  const auto integer = [&] { return integers[random.below(random.below(3) == 0 ? integers.size() : 4)]; };
  const auto tensor = [&] { return json{{"name", values[random.below(values.size())]}}; };
  auto type = wanted.type();
  if (const auto optional = type->cast<c10::OptionalType>()) {
    if (random.below(2) == 0) return {{"as_none", true}};
    type = optional->getElementType();
  }
  const std::size_t count = wanted.N() && *wanted.N() > 1 ? static_cast<std::size_t>(*wanted.N()) : random.below(4);
  switch (type->kind()) {
    case c10::TypeKind::TensorType:
      return {{"as_tensor", tensor()}};
    case c10::TypeKind::FloatType:
      return {{"as_float", random.below(2) == 0 ? 0.5 : 1e30}};
    case c10::TypeKind::BoolType:
      return {{"as_bool", random.below(2) == 0}};
    case c10::TypeKind::StringType:
      return {{"as_string", random.below(2) == 0 ? "none" : "/tmp/lockstep-hostile"}};
    case c10::TypeKind::ListType: {
      json list = json::array();
      const auto element = type->cast<c10::ListType>()->getElementType();
      if (element->kind() == c10::TypeKind::TensorType) {
        for (std::size_t i = 0; i < count; ++i) list.push_back(tensor());
        return {{"as_tensors", list}};
      }
      for (std::size_t i = 0; i < count; ++i) list.push_back(integer());
      return {{"as_ints", list}};
    }
    default:
      return {{"as_int", integer()}};
  }
}

TEST_F(HostileArchives, AnyOperatorOfPyTorchIsRefusedOrRuns) {
  const std::vector<Base> all = bases();
  std::vector<c10::OperatorName> operators;
  for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (name.name.starts_with("aten::")) operators.push_back(name);
  }
  std::ranges::sort(operators, {}, [](const c10::OperatorName& name) { return name.name + "." + name.overload_name; });
  ASSERT_GT(operators.size(), 2000);
  const int step = soaking() ? 1 : 7;
  const auto put = [&](int i, Base& base) {
    JsonMutator random(static_cast<std::uint64_t>(i));
    const c10::OperatorName& name = operators[static_cast<std::size_t>(i) * static_cast<std::size_t>(step)];
    json& graph = base.model["graph_module"]["graph"];
    const std::size_t at = random.below(graph["nodes"].size());
    json& node = graph["nodes"][at];
    std::vector<std::string> values;
    for (const json& spec : base.model["graph_module"]["signature"]["input_specs"]) {
      const json& argument = spec.begin().value()["arg"];
      values.push_back(argument.contains("name") ? argument["name"] : argument["as_tensor"]["name"]);
    }
    for (std::size_t n = 0; n < at; ++n) {
      for (const json& output : graph["nodes"][n]["outputs"]) {
        if (output.contains("as_tensor")) values.push_back(output["as_tensor"]["name"]);
      }
    }
    node["target"] = "torch.ops." + std::string("aten.") + name.name.substr(6) + "." +
                     (name.overload_name.empty() ? "default" : name.overload_name);
    node["inputs"] = json::array();
    const auto handle = c10::Dispatcher::singleton().findSchema(name);
    if (!handle) return node["target"].get<std::string>();
    for (const c10::Argument& wanted : handle->schema().arguments()) {
      if (wanted.default_value() && random.below(2) == 0) continue;
      node["inputs"].push_back(
          {{"name", wanted.name()}, {"arg", random_argument(random, wanted, values)}, {"kind", 1}});
    }
    if (random.below(2) == 0 && node["outputs"][0].contains("as_tensor")) {
      graph["tensor_values"].erase(node["outputs"][0]["as_tensor"]["name"].get<std::string>());
    }
    return node.dump().substr(0, 300);
  };
  const CaseResults results = run_changed(static_cast<int>(operators.size()) / step, all, put);
  expect_well(results, 5);
  EXPECT_FALSE(std::filesystem::exists("/tmp/lockstep-hostile")) << "an operator wrote a file";
}

}  // namespace
}  // namespace lockstep

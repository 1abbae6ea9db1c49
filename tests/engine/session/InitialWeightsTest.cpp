#include "engine/session/InitialWeights.h"

#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "common/Error.h"
#include "engine/artifacts/Safetensors.h"
#include "engine/program/BuiltinPrograms.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

Program mlp() { return build_builtin_program("mlp", {.input_shape = {3}, .classes = 2, .hidden = {4}, .dropout = 0}); }

at::Tensor tensor_of(const Program& program, const std::string& name) {
  for (const StateTensor& entry : program.state()) {
    if (entry.name == name) return entry.tensor;
  }
  return {};
}

/// What fits mlp(): sevens for weights, threes for biases.
NamedTensors stored(const std::string& prefix = "", at::ScalarType type = at::kFloat) {
  return {{prefix + "fc1.weight", at::full({4, 3}, 7, type)},
          {prefix + "fc1.bias", at::full({4}, 3, type)},
          {prefix + "fc2.weight", at::full({2, 4}, 7, type)},
          {prefix + "fc2.bias", at::full({2}, 3, type)}};
}

class InitialWeights : public testing::Test {
 protected:
  std::string load(const Program& program, const NamedTensors& tensors, Hyperparameters options = {}) {
    write_safetensors(tensors, {}, directory_ / "w.safetensors");
    options.initial_weights = directory_ / "w.safetensors";
    return load_initial_weights(options, program);
  }
  void write(const std::string& name, const std::string& text) { std::ofstream(directory_ / name) << text; }

  TemporaryDirectory directory_;
};

TEST_F(InitialWeights, TakeThePlaceOfTheProgramsOwn) {
  const Program program = mlp();
  const std::string before = program.digest();
  EXPECT_EQ(load_initial_weights({}, program), "");
  EXPECT_EQ(program.digest(), before);
  EXPECT_NE(load(program, stored()).find(": 4 tensors are taken"), std::string::npos);
  EXPECT_TRUE(at::equal(tensor_of(program, "fc1.weight"), at::full({4, 3}, 7)));
  EXPECT_TRUE(at::equal(tensor_of(program, "fc2.bias"), at::full({2}, 3)));
  EXPECT_TRUE(tensor_of(program, "fc1.weight").requires_grad());
  EXPECT_NE(program.digest(), before);
}

TEST_F(InitialWeights, OfHalfPrecisionBecomeFloat32AndSaySo) {
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf, at::kDouble}) {
    const Program program = mlp();
    const std::string note = load(program, stored("", type));
    EXPECT_NE(note.find("converted from " +
                        std::string(type == at::kBFloat16 ? "bfloat16"
                                    : type == at::kHalf   ? "float16"
                                                          : "float64") +
                        " to float32"),
              std::string::npos)
        << note;
    EXPECT_EQ(tensor_of(program, "fc1.weight").scalar_type(), at::kFloat);
    EXPECT_TRUE(at::equal(tensor_of(program, "fc1.weight"), at::full({4, 3}, 7)));
  }
  NamedTensors integers = stored();
  integers["fc1.bias"] = at::zeros({4}, at::kInt);
  EXPECT_ERROR(load(mlp(), integers), InputError, "fc1.bias is int32 [4], not float32 [4]");
}

TEST_F(InitialWeights, HaveOtherNamesWhereTheJobSaysSo) {
  const Program program = mlp();
  NamedTensors tensors = stored("model.");
  tensors["b"] = tensors.extract("model.fc2.bias").mapped();
  load(program, tensors, {.weight_names = {{"fc2.bias", "b"}, {"*", "model.*"}}});
  EXPECT_TRUE(at::equal(tensor_of(program, "fc2.bias"), at::full({2}, 3)));
  EXPECT_TRUE(at::equal(tensor_of(program, "fc2.weight"), at::full({2, 4}, 7)));
  EXPECT_ERROR(load(mlp(), tensors, {.weight_names = {{"model.*", "*"}}}), InputError, "\"model.*\"",
               "the program's name comes first");
  EXPECT_ERROR(load(mlp(), stored("x.")), InputError, "has nothing of the program mlp", "missing there: fc1.weight",
               "unexpected there: x.fc1.bias", "weight_names");
}

TEST_F(InitialWeights, ThatAreNotThoseOfTheProgramAreListed) {
  NamedTensors tensors = stored();
  tensors["fc2.weight"] = at::zeros({5, 4});
  tensors.erase("fc2.bias");
  tensors["head.bias"] = at::zeros({5});
  EXPECT_ERROR(load(mlp(), tensors), InputError, "w.safetensors", "missing there: fc2.bias",
               "fc2.weight is float32 [5, 4], not float32 [2, 4]", "unexpected there: head.bias",
               "initial_weights_match=partial");
  const Program program = mlp();
  const at::Tensor head = tensor_of(program, "fc2.weight").detach().clone();
  const std::string note = load(program, tensors, {.initial_weights_match = WeightsMatch::kPartial});
  for (const char* part :
       {": 2 tensors are taken", "missing there: fc2.bias", "[5, 4]", "unexpected there: head.bias"}) {
    EXPECT_NE(note.find(part), std::string::npos) << note;
  }
  EXPECT_TRUE(at::equal(tensor_of(program, "fc1.bias"), at::full({4}, 3)));
  EXPECT_TRUE(at::equal(tensor_of(program, "fc2.weight"), head));
  EXPECT_ERROR(load(mlp(), {{"other", at::zeros({1})}}, {.initial_weights_match = WeightsMatch::kPartial}), InputError,
               "has nothing of the program");
}

TEST_F(InitialWeights, OfATiedTensorAreFoundByAnyOfItsNames) {
  const Graph graph =
      build_builtin_program("mlp", {.input_shape = {4}, .classes = 4, .hidden = {4}, .dropout = 0}).graph();
  const at::Tensor tied = at::zeros({4, 4}).set_requires_grad(true);
  const Program program(
      "tied", graph,
      {{"fc1.weight", tied}, {"fc2.weight", tied}, {"fc1.bias", at::zeros({4})}, {"fc2.bias", at::zeros({4})}});
  NamedTensors tensors = {
      {"fc2.weight", at::full({4, 4}, 7, at::kFloat)}, {"fc1.bias", at::zeros({4})}, {"fc2.bias", at::zeros({4})}};
  load(program, tensors);
  EXPECT_TRUE(at::equal(tied, at::full({4, 4}, 7, at::kFloat)));
  tensors["fc1.weight"] = at::full({4, 4}, 7, at::kFloat);
  load(program, tensors);
  tensors["fc1.weight"] = at::full({4, 4}, 8, at::kFloat);
  EXPECT_ERROR(load(program, tensors), InputError, "fc1.weight and fc2.weight differ", "tied");
}

TEST_F(InitialWeights, LieInSeveralFilesBesideTheirIndex) {
  NamedTensors first = stored();
  NamedTensors second;
  second["fc2.bias"] = first.extract("fc2.bias").mapped();
  write_safetensors(first, {}, directory_ / "model-1.safetensors");
  write_safetensors(second, {}, directory_ / "model-2.safetensors");
  const auto index = [&](const std::string& last) {
    write("model.safetensors.index.json",
          R"({"metadata": {"total_size": 104}, "weight_map": {"fc1.weight": "model-1.safetensors", )"
          R"("fc1.bias": "model-1.safetensors", "fc2.weight": "model-1.safetensors", "fc2.bias": )" +
              last + "}}");
    Hyperparameters options;
    options.initial_weights = directory_ / "model.safetensors.index.json";
    const Program program = mlp();
    load_initial_weights(options, program);
    return tensor_of(program, "fc2.bias");
  };
  EXPECT_TRUE(at::equal(index("\"model-2.safetensors\""), at::full({2}, 3)));
  EXPECT_ERROR(index("\"model-1.safetensors\""), InputError, "model-1.safetensors holds the tensor \"fc2.bias\"");
  EXPECT_ERROR(index("\"model-3.safetensors\""), InputError, "model-3.safetensors");
  EXPECT_ERROR(index("\"../model-2.safetensors\""), InputError, "fc2.bias", "beside the index");
  EXPECT_ERROR(index("3"), InputError, "fc2.bias", "beside the index");
  write("bad.json", "[]");
  Hyperparameters options;
  options.initial_weights = directory_ / "bad.json";
  EXPECT_ERROR(load_initial_weights(options, mlp()), InputError, "bad.json", "weight_map");
  options.initial_weights = directory_ / "none.safetensors";
  EXPECT_ERROR(load_initial_weights(options, mlp()), InputError, "none.safetensors");
}

}  // namespace
}  // namespace lockstep

#include "engine/program/BuiltinPrograms.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/program/EvalForm.h"
#include "engine/program/Executor.h"
#include "engine/program/Flops.h"
#include "engine/program/Layers.h"
#include "engine/program/SizeCheck.h"
#include "job/BuiltinChoices.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

constexpr std::int64_t kTokens = 11;

// Of every program: few layers and channels, with all inputs that there may be.
BuiltinOptions small_options(const std::string& name) {
  BuiltinOptions options{.input_shape = {3, 32, 32},
                         .classes = 5,
                         .channels = {4},
                         .hidden = {6},
                         .dropout = 0.1,
                         .patch_size = 8,
                         .layers = 2,
                         .heads = 2,
                         .width = 8};
  if (name == "mlp") {
    options.input_shape = {4};
    options.embeddings = {{"color", {.count = 7, .width = 3}}, {"city", {}}};
    options.counts = {{"city", 9}};
  }
  if (name == "gpt" || name == "bert") {
    options.input_shape = {12};
    options.counts = {{"input_ids", kTokens}};
    options.optional_inputs = {"attention_mask", "token_type_ids"};
  }
  return options;
}

// One of each kind: the other resnets have the same blocks.
std::vector<std::string> kinds() { return {"mlp", "cnn", "resnet18", "resnet50", "vit", "gpt", "bert"}; }

Program small(const std::string& name) { return build_builtin_program(name, small_options(name)); }

const at::Tensor& tensor_of(const Program& program, const std::string& name) {
  for (const GraphInput& input : program.graph().inputs) {
    if (input.state_name == name) return program.tensor(input);
  }
  throw InternalError("no tensor is called " + name);
}

// Inputs of so many samples, with texts of so many tokens.
std::vector<at::Tensor> inputs_of(const Program& program, std::int64_t samples, std::int64_t length) {
  std::vector<at::Tensor> inputs;
  for (const GraphInput* input : program.graph().user_inputs()) {
    std::vector<std::int64_t> sizes = {samples};
    const std::vector<Dimension> all = program.graph().sizes(input->value);
    for (std::size_t i = 1; i < all.size(); ++i) {
      const auto* known = std::get_if<std::int64_t>(&all[i]);
      sizes.push_back(known != nullptr ? *known : length);
    }
    const bool integers = scalar_type_from_archive(program.graph().scalar_type(input->value)) == at::kLong;
    inputs.push_back(integers ? at::randint(2, sizes, at::kLong) : at::randn(sizes));
  }
  return inputs;
}

TEST(BuiltinPrograms, AreThoseThatHyperparametersName) {
  std::vector<std::string> names;
  for (const BuiltinProgram& program : built_in_programs()) names.push_back(program.name);
  EXPECT_EQ(names, names_of(builtin_programs()));
  EXPECT_ERROR(build_builtin_program("resnet", {}), InputError, "resnet", "mlp, cnn", "resnet18");
}

TEST(BuiltinPrograms, TheSameSeedGivesTheSameProgram) {
  for (const std::string& name : kinds()) {
    EXPECT_EQ(small(name).digest(), small(name).digest()) << name;
    BuiltinOptions other = small_options(name);
    other.seed = 2;
    EXPECT_NE(small(name).digest(), build_builtin_program(name, other).digest()) << name;
  }
}

TEST(BuiltinPrograms, TakeAnyBatchAndGiveARowForEachSample) {
  for (const std::string& name : kinds()) {
    const Program program = small(name);
    const Program inference = program.with_graph(eval_form(program.graph()));
    for (const std::int64_t samples : {1, 3}) {
      const std::vector<at::Tensor> inputs = inputs_of(program, samples, 12);
      const at::Tensor output = Executor(inference).run(inputs).at(0);
      const std::vector<std::int64_t> expected =
          name == "gpt" ? std::vector<std::int64_t>{samples, 12, kTokens} : std::vector<std::int64_t>{samples, 5};
      EXPECT_EQ(output.sizes().vec(), expected) << name;
      EXPECT_TRUE(output.equal(Executor(inference).run(inputs).at(0))) << name << ": what drops is off";
    }
    const at::Tensor trained = Executor(program, /*trains=*/true).run(inputs_of(program, 4, 12)).at(0);
    trained.sum().backward();
    for (const StateTensor& entry : program.trained_parameters())
      EXPECT_TRUE(entry.tensor.grad().defined()) << entry.name;
  }
}

// What the graph says of every value is what running it finds.
TEST(BuiltinPrograms, TheirGraphsSayTheSizesOfEveryValue) {
  for (const std::string& name : kinds()) {
    const Program program = small(name);
    for (const std::int64_t length : {12, 5}) {
      SizeCheck check(program.graph());
      Executor(program).run(inputs_of(program, 3, length), &check);
    }
  }
}

TEST(BuiltinPrograms, TextsMayBeShorterAndACausalOneSeesNoLaterToken) {
  for (const std::string& name : {std::string("gpt"), std::string("bert")}) {
    const Program program = small(name);
    const Program inference = program.with_graph(eval_form(program.graph()));
    const std::vector<at::Tensor> inputs = inputs_of(program, 2, 7);
    const at::Tensor output = Executor(inference).run(inputs).at(0);
    EXPECT_EQ(output.size(0), 2);
    if (name != "gpt") continue;
    const at::Tensor shorter = Executor(inference).run({inputs[0].slice(1, 0, 4)}).at(0);
    EXPECT_TRUE(at::allclose(shorter, output.slice(1, 0, 4), 1e-5, 1e-6));
  }
}

TEST(BuiltinPrograms, AMaskHidesTokens) {
  const Program program = small("bert");
  const Program inference = program.with_graph(eval_form(program.graph()));
  std::vector<at::Tensor> inputs = {at::randint(1, kTokens, {2, 8}, at::kLong), at::ones({2, 8}, at::kLong),
                                    at::zeros({2, 8}, at::kLong)};
  inputs[1].slice(1, 5).zero_();
  const at::Tensor output = Executor(inference).run(inputs).at(0);
  inputs[0].slice(1, 5).fill_(3);
  EXPECT_TRUE(Executor(inference).run(inputs).at(0).equal(output));
  inputs[1].fill_(1);
  EXPECT_FALSE(Executor(inference).run(inputs).at(0).equal(output));
}

// The figures that the models' authors and libraries give. Where there is no data, a program has their sizes, too.
TEST(BuiltinPrograms, HaveAsManyParametersAsTheModelsThatTheyName) {
  const auto parameters = [](const char* name) {
    Hyperparameters hyperparameters;
    hyperparameters.model = name;
    return build_builtin_program(name, builtin_options(hyperparameters)).parameter_count();
  };
  EXPECT_EQ(parameters("cnn"), 421834);
  EXPECT_EQ(parameters("resnet18"), 11689512);
  EXPECT_EQ(parameters("resnet34"), 21797672);
  EXPECT_EQ(parameters("resnet50"), 25557032);
  EXPECT_EQ(parameters("resnet101"), 44549160);
  EXPECT_EQ(parameters("vit"), 86567656);
  EXPECT_EQ(parameters("gpt"), 124439808);
  EXPECT_EQ(parameters("bert"), 109483778);
}

TEST(BuiltinPrograms, WithoutDataTakeWhatTheirHyperparametersSay) {
  Hyperparameters hyperparameters;
  hyperparameters.model = "gpt";
  hyperparameters.model_length = 8;
  hyperparameters.model_vocabulary = 5;
  hyperparameters.model_layers = 1;
  const Program gpt = build_builtin_program("gpt", builtin_options(hyperparameters));
  EXPECT_EQ(tensor_of(gpt, "transformer.wte.weight").sizes(), (std::vector<std::int64_t>{5, 768}));
  EXPECT_EQ(tensor_of(gpt, "transformer.wpe.weight").sizes(), (std::vector<std::int64_t>{8, 768}));
  hyperparameters = {.model = "resnet18"};
  hyperparameters.model_small_images = true;
  const BuiltinOptions cifar = builtin_options(hyperparameters);
  EXPECT_EQ(cifar.input_shape, (std::vector<std::int64_t>{3, 32, 32}));
  EXPECT_EQ(cifar.classes, 10);
}

void expect_normal(const at::Tensor& tensor, double deviation) {
  const auto count = static_cast<double>(tensor.numel());
  EXPECT_NEAR(tensor.std().item<double>(), deviation, 4 * deviation / std::sqrt(2 * count));
  EXPECT_NEAR(tensor.mean().item<double>(), 0, 4 * deviation / std::sqrt(count));
}

// As nn.Linear and nn.Conv2d begin, weights and biases.
void expect_uniform(const at::Tensor& tensor, double bound) {
  const auto count = static_cast<double>(tensor.numel());
  const double deviation = bound / std::sqrt(3.0);
  EXPECT_LE(tensor.abs().max().item<double>(), bound);
  EXPECT_NEAR(tensor.mean().item<double>(), 0, 4 * deviation / std::sqrt(count));
  // The fourth moment of a uniform distribution is 9/5 of its variance's square.
  EXPECT_NEAR(tensor.var().item<double>(), deviation * deviation, 4 * deviation * deviation * std::sqrt(0.8 / count));
}

TEST(BuiltinPrograms, BeginAsTheirModelsDo) {
  const c10::NoGradGuard no_grad;
  const BuiltinOptions table{
      .input_shape = {30}, .classes = 10, .hidden = {200}, .embeddings = {{"city", {.count = 90, .width = 20}}}};
  const Program mlp = build_builtin_program("mlp", table);
  expect_normal(tensor_of(mlp, "embeddings.city.weight"), 1);
  for (const char* tensor : {"fc1.weight", "fc1.bias"}) expect_uniform(tensor_of(mlp, tensor), 1 / std::sqrt(50.0));
  for (const char* tensor : {"fc2.weight", "fc2.bias"}) expect_uniform(tensor_of(mlp, tensor), 1 / std::sqrt(200.0));
  const Program cnn =
      build_builtin_program("cnn", {.input_shape = {3, 8, 8}, .classes = 10, .channels = {40, 60}, .hidden = {50}});
  for (const char* tensor : {"block1.conv.weight", "block1.conv.bias"})
    expect_uniform(tensor_of(cnn, tensor), 1 / std::sqrt(3.0 * 9));
  for (const char* tensor : {"block2.conv.weight", "block2.conv.bias"})
    expect_uniform(tensor_of(cnn, tensor), 1 / std::sqrt(40.0 * 9));
  expect_uniform(tensor_of(cnn, "fc1.weight"), 1 / std::sqrt(60.0 * 4));
  EXPECT_TRUE(tensor_of(cnn, "block2.norm.weight").eq(1).all().item<bool>());
  EXPECT_TRUE(tensor_of(cnn, "block2.norm.bias").eq(0).all().item<bool>());
  const Program resnet = build_builtin_program("resnet18", {.input_shape = {3, 64, 64}, .classes = 10});
  expect_normal(tensor_of(resnet, "layer3.0.conv1.weight"), std::sqrt(2.0 / (256 * 9)));
  EXPECT_TRUE(tensor_of(resnet, "layer4.1.bn2.weight").eq(1).all().item<bool>());
  EXPECT_LE(tensor_of(resnet, "fc.weight").abs().max().item<double>(), 1 / std::sqrt(512.0));
  const BuiltinOptions sizes{
      .input_shape = {3, 64, 64}, .classes = 10, .dropout = 0, .patch_size = 8, .layers = 2, .heads = 4, .width = 128};
  const Program vit = build_builtin_program("vit", sizes);
  expect_normal(tensor_of(vit, "conv_proj.weight"), 1 / std::sqrt(3.0 * 64));
  expect_normal(tensor_of(vit, "encoder.pos_embedding"), 0.02);
  const at::Tensor xavier = tensor_of(vit, "encoder.layers.encoder_layer_1.mlp.0.weight");
  EXPECT_NEAR(xavier.abs().max().item<double>(), std::sqrt(6.0 / (128 + 512)), 1e-5);
  for (const char* zero :
       {"class_token", "heads.head.weight", "encoder.layers.encoder_layer_0.self_attention.in_proj_bias"})
    EXPECT_TRUE(tensor_of(vit, zero).eq(0).all().item<bool>()) << zero;
  BuiltinOptions texts = sizes;
  texts.input_shape = {16};
  texts.counts = {{"input_ids", 100}};
  const Program gpt = build_builtin_program("gpt", texts);
  expect_normal(tensor_of(gpt, "transformer.wte.weight"), 0.02);
  expect_normal(tensor_of(gpt, "transformer.h.1.attn.c_attn.weight"), 0.02);
  expect_normal(tensor_of(gpt, "transformer.h.1.mlp.c_proj.weight"), 0.02 / std::sqrt(4.0));
  EXPECT_TRUE(tensor_of(gpt, "lm_head.weight").is_same(tensor_of(gpt, "transformer.wte.weight")));
  const Program bert = build_builtin_program("bert", texts);
  const at::Tensor words = tensor_of(bert, "bert.embeddings.word_embeddings.weight");
  EXPECT_TRUE(words.select(0, 0).eq(0).all().item<bool>());
  expect_normal(words.slice(0, 1), 0.02);
  for (const char* tensor :
       {"bert.embeddings.position_embeddings.weight", "bert.encoder.layer.1.attention.self.query.weight",
        "bert.encoder.layer.0.intermediate.dense.weight", "bert.pooler.dense.weight", "classifier.weight"})
    expect_normal(tensor_of(bert, tensor), 0.02);
  for (const char* zero :
       {"bert.encoder.layer.1.output.dense.bias", "bert.embeddings.LayerNorm.bias", "classifier.bias"})
    EXPECT_TRUE(tensor_of(bert, zero).eq(0).all().item<bool>()) << zero;
}

TEST(InitialValues, TruncatedNormalIsCutAtTwo) {
  at::Tensor tensor = at::empty({20000});
  const at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
  initial::truncated_normal(2)(tensor, generator);
  EXPECT_LE(tensor.abs().max().item<double>(), 2);
  EXPECT_GT(tensor.abs().max().item<double>(), 1.95);
  // Of a normal distribution cut at ±1 deviation: σ²·(1 - 2φ(1)/(2Φ(1) - 1)).
  EXPECT_NEAR(tensor.var().item<double>(), 4 * 0.29112509, 0.03);
}

TEST(BuiltinPrograms, RefuseWhatDoesNotFit) {
  const auto refused = [](const char* name, const BuiltinOptions& options, auto... words) {
    EXPECT_ERROR(build_builtin_program(name, options), InputError, words...);
  };
  refused("cnn", {.input_shape = {1, 2, 2}, .channels = {4, 4}}, "max_pool2d");
  refused("cnn", {.input_shape = {28}}, "block1.conv", "batch × 28");
  refused("resnet18", {.input_shape = {28}}, "conv1", "batch × 28");
  refused("vit", {.input_shape = {3, 30, 32}}, "16 × 16", "[3, 30, 32]", "model_patch_size");
  refused("vit", {.input_shape = {3, 32, 32}, .heads = 5, .width = 8}, "model_width=8", "model_heads=5");
  refused("gpt", {.input_shape = {8}}, "model_vocabulary");
  refused("gpt", {.input_shape = {8}, .vocabulary = 5, .length = 4}, "8 tokens", "model_length=4");
  refused("bert", {.input_shape = {1, 28, 28}, .vocabulary = 5}, "[1, 28, 28]", "model_length");
  refused("mlp", {.input_shape = {3}, .embeddings = {{"color", {}}}}, "column color", "model_embeddings=color=1000x16");
  for (const char* name : {"class", "two words", "x"}) {
    refused("mlp", {.input_shape = {3}, .embeddings = {{name, {.count = 3}}}}, name, "cannot be the name of an input");
  }
}

TEST(BuiltinPrograms, AMlpTakesANumberAlone) {
  const Program program = build_builtin_program("mlp", {.input_shape = {}, .classes = 2});
  EXPECT_EQ(Executor(program).run({at::randn({3})}).at(0).sizes().vec(), (std::vector<std::int64_t>{3, 2}));
}

// A name that an operator has is an input's all the same.
TEST(GraphBuilder, NamesAreDistinct) {
  const BuiltinOptions options{.input_shape = {3}, .embeddings = {{"cat", {.count = 4}}, {"linear", {.count = 2}}}};
  const Program program = build_builtin_program("mlp", options);
  std::set<std::string> names;
  for (const GraphInput& input : program.graph().inputs) EXPECT_TRUE(names.insert(input.value).second) << input.value;
  for (const Node& node : program.graph().nodes) EXPECT_TRUE(names.insert(node.output()).second) << node.output();
  EXPECT_EQ(Executor(program).run(inputs_of(program, 2, 0)).at(0).sizes().vec(), (std::vector<std::int64_t>{2, 10}));
}

TEST(Flops, OfTextsAreOfTheLongest) {
  const Program gpt =
      build_builtin_program("gpt", {.input_shape = {16}, .layers = 1, .heads = 2, .width = 8, .vocabulary = 10});
  const double forward = 16 * (8 * 24 + 8 * 8 + 2 * 8 * 32 + 10 * 8) + 2 * 16 * 16 * 8;
  EXPECT_EQ(forward_flops(gpt.graph(), 1), 2 * forward);
}

}  // namespace
}  // namespace lockstep

#include "engine/artifacts/ModelLayout.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "common/Error.h"
#include "common/File.h"
#include "engine/artifacts/ModelDirectory.h"
#include "engine/artifacts/ServedProgram.h"
#include "engine/artifacts/TritonConfig.h"
#include "engine/artifacts/WeightQuantization.h"
#include "engine/artifacts/tensorflow/SavedModel.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

const std::vector<Export> kAll = {Export::kPt2, Export::kSafetensors, Export::kSavedModel, Export::kOnnx,
                                  Export::kTorchscript};

Program cnn() {
  const Program program =
      build_builtin_program("cnn", {.input_shape = {1, 8, 8}, .classes = 3, .channels = {4}, .hidden = {5}});
  return program.with_graph(eval_form(program.graph()));
}

std::vector<std::string> entries(const ModelLayout& layout, const std::vector<Export>& formats) {
  std::vector<std::string> found;
  for (const Export format : formats) found.push_back(layout.entry(format));
  return found;
}

TEST(ModelLayout, PutsEntriesWhereServersLook) {
  const std::vector<std::string> usual = {"model.pt2", "model.safetensors", "1", "model.onnx", "model.pt"};
  EXPECT_EQ(entries(ModelLayout(Layout::kTfserving, "m", kAll), kAll), usual);
  EXPECT_EQ(entries(ModelLayout(Layout::kPytorch, "m", kAll), kAll), usual);
  EXPECT_EQ(entries(ModelLayout(Layout::kTriton, "m", kAll), kAll),
            (std::vector<std::string>{"model.pt2", "model.safetensors", "m_saved_model/1/model.savedmodel",
                                      "m_onnx/1/model.onnx", "m_torchscript/1/model.pt"}));
  const std::vector<Export> one = {Export::kPt2, Export::kOnnx};
  EXPECT_EQ(entries(ModelLayout(Layout::kTriton, "m", one), one),
            (std::vector<std::string>{"model.pt2", "m/1/model.onnx"}));
  EXPECT_EQ(ModelLayout::format_of("m/1/model.savedmodel"), Export::kSavedModel);
  EXPECT_EQ(ModelLayout::format_of("1"), Export::kSavedModel);
  EXPECT_EQ(ModelLayout::format_of("model.pt"), Export::kTorchscript);
  EXPECT_EQ(ModelLayout::format_of("m/1"), std::nullopt);
  EXPECT_EQ(ModelLayout::format_of("m/model.pt2"), std::nullopt);
}

TEST(ModelLayout, RefusesWhatNoServerReads) {
  EXPECT_NO_THROW(ModelLayout(Layout::kTfserving, "m", {Export::kPt2}));
  EXPECT_ERROR(ModelLayout(Layout::kPytorch, "m", {Export::kPt2, Export::kOnnx}), InputError, "layout=pytorch",
               "torchscript");
  EXPECT_ERROR(ModelLayout(Layout::kTriton, "m", {Export::kPt2}), InputError, "layout=triton",
               "saved_model, onnx, torchscript");
  for (const char* name : {"", "a/b", "..", "a b", "é"}) {
    EXPECT_ERROR(ModelLayout(Layout::kTriton, name, {Export::kOnnx}), InputError, "served_name");
  }
}

TEST(ModelLayout, LaidOutDirectoriesAreChecked) {
  const Program program = cnn();
  const std::vector<Probe::Inputs> kept = {{at::randn({1, 1, 8, 8})}, {at::randn({2, 1, 8, 8})}};
  for (const Layout layout : {Layout::kTfserving, Layout::kPytorch, Layout::kTriton}) {
    const TemporaryDirectory directory;
    write_artifacts(program, kAll, directory.path(), make_probes(program, kept),
                    {.probes = kept, .labels = {"cat", "dog\nhound", "owl"}, .layout = layout, .served_name = "pets"});
    const auto lines = check_model_directory(directory.path());
    ASSERT_EQ(lines.size(), 5);
    for (const std::size_t i : {0, 2, 3, 4}) EXPECT_NE(lines[i].find("computes the outputs"), std::string::npos) << i;
    EXPECT_EQ(fs::exists(directory / "code/inference.py"), layout == Layout::kPytorch);
    EXPECT_EQ(fs::exists(directory / "pets_onnx/config.pbtxt"), layout == Layout::kTriton);
    if (layout != Layout::kTriton) continue;
    EXPECT_EQ(read_file(directory / "pets_onnx/labels.txt", 100), "cat\ndog hound\nowl\n");
    fs::remove(directory / "pets_torchscript/1/model.pt");
    EXPECT_ERROR(check_model_directory(directory.path()), InputError, "pets_torchscript/1/model.pt");
  }
}

// What saved_model and onnx hold is another program; the others hold the trained one.
TEST(ServedForm, IsWrittenComparedAndChecked) {
  const Program program = cnn();
  const std::vector<Probe::Inputs> kept = {{at::randn({1, 1, 8, 8})}, {at::randn({5, 1, 8, 8})}};
  for (const bool pixels : {false, true}) {
    const TemporaryDirectory directory;
    const BesideArtifacts beside{
        .probes = kept,
        .form = {.int8_weights = true,
                 .pixels = pixels ? std::optional(PixelNormalization{{0.4}, {0.2}}) : std::nullopt}};
    check_artifacts(program, kAll, make_probes(program, kept), beside);
    write_artifacts(program, kAll, directory.path(), make_probes(program, kept), beside);
    for (const std::string& line : check_model_directory(directory.path())) {
      EXPECT_TRUE(line.find("computes the outputs") != std::string::npos || line.starts_with("model.safetensors"))
          << line;
    }
    const ModelCard card = ModelCard::read(directory.path());
    ASSERT_TRUE(card.served);
    EXPECT_TRUE(card.served->int8_weights);
    EXPECT_EQ(card.served->artifacts, (std::vector<std::string>{"1", "model.onnx"}));
    EXPECT_EQ(card.inputs[0].name, "x");
    EXPECT_EQ(card.served->inputs[0].name, pixels ? "pixels" : "x");
    EXPECT_EQ(card.served->inputs[0].type, pixels ? "uint8" : "float32");
    EXPECT_EQ(card.served->outputs[0].name, pixels ? "probabilities" : "output_0");
    EXPECT_EQ(card.of_artifact("model.onnx").outputs.size(), pixels ? 2 : 1);
    EXPECT_EQ(card.of_artifact("model.pt2").outputs.size(), 1);
  }
}

TEST(ServedForm, SaysInTheSavedModelWhatClassesAreCalled) {
  const Program program = cnn();
  const std::vector<Probe::Inputs> kept = {{at::randn({1, 1, 8, 8})}, {at::randn({5, 1, 8, 8})}};
  const std::vector<std::string> labels = {"ant", "bee", "2"};  // the third has no name
  BesideArtifacts beside{.probes = kept, .labels = {"ant", "bee"}, .form = {.classifies = true}};
  const auto classes = [&] {
    const TemporaryDirectory directory;
    const std::vector<Export> formats = {Export::kPt2, Export::kSavedModel};
    check_artifacts(program, formats, make_probes(program, kept), beside);
    write_artifacts(program, formats, directory.path(), make_probes(program, kept), beside);
    for (const std::string& line : check_model_directory(directory.path())) {
      EXPECT_TRUE(line.find("computes the outputs") != std::string::npos) << line;
    }
    const ModelCard card = ModelCard::read(directory.path());
    EXPECT_EQ(card.served && card.served->decodes_images, beside.form.decoded.has_value());
    return SavedModel(directory.path() / "1").function().classes;
  };
  EXPECT_EQ(classes(), (TensorflowClasses{.labels = labels, .scores = "output_0"}));
  beside.form.pixels = PixelNormalization{{0.4}, {0.2}};
  EXPECT_EQ(classes(), (TensorflowClasses{.labels = labels}));
  for (const ImageCrop crop : {ImageCrop::kCenter, ImageCrop::kRandom, ImageCrop::kStretch}) {
    beside.form.decoded = crop;
    EXPECT_EQ(classes(), (TensorflowClasses{.labels = labels,
                                            .decoding = TensorflowDecoding{8, 8, 1, crop == ImageCrop::kStretch}}));
  }
  beside.labels = {};
  EXPECT_EQ(classes(), (TensorflowClasses{.decoding = TensorflowDecoding{8, 8, 1, true}}));
  beside.form = {.classifies = true};
  EXPECT_EQ(classes(), std::nullopt);
}

TEST(ServedForm, RefusesEncodedImagesWhereNothingDecodes) {
  const Program program = cnn();
  const BesideArtifacts images{.form = {.pixels = PixelNormalization{{0.4}, {0.2}}, .decoded = ImageCrop::kCenter}};
  EXPECT_ERROR(check_artifacts(program, {Export::kSavedModel, Export::kOnnx}, {}, images), InputError,
               "serve_preprocessing=images", "ONNX Runtime decodes no images without extensions");
  EXPECT_ERROR(check_artifacts(program, {Export::kPt2}, {}, images), InputError, "saved_model is not in export");
  BesideArtifacts triton = images;
  triton.layout = Layout::kTriton;
  EXPECT_ERROR(check_artifacts(program, {Export::kSavedModel}, {}, triton), InputError, "layout=triton");
  const Program four = [] {
    const Program built =
        build_builtin_program("cnn", {.input_shape = {4, 8, 8}, .classes = 3, .channels = {4}, .hidden = {5}});
    return built.with_graph(eval_form(built.graph()));
  }();
  EXPECT_ERROR(check_artifacts(four, {Export::kSavedModel}, {}, images), InputError, "serve_preprocessing=images",
               "it has 4 channels");
}

TEST(ServedForm, RoundsWeightsAlone) {
  const Program program = cnn();
  const Program rounded = with_rounded_weights(program);
  int changed = 0;
  const std::vector<StateTensor> after = rounded.state();
  for (std::size_t i = 0; i < after.size(); ++i) {
    const at::Tensor before = program.state()[i].tensor;
    if (at::equal(before, after[i].tensor)) continue;
    ++changed;
    EXPECT_TRUE(after[i].name.ends_with("weight") && before.dim() >= 2) << after[i].name;
    for (std::int64_t channel = 0; channel < before.size(0); ++channel) {
      const double step = before[channel].abs().max().item<double>() / 127;
      EXPECT_LE((before[channel] - after[i].tensor[channel]).abs().max().item<double>(), step * 0.5001);
    }
  }
  EXPECT_EQ(changed, 3);
  EXPECT_EQ(difference(make_model(with_int8_weights(to_primitives(rounded))),
                       make_probes(rounded, {{at::randn({3, 1, 8, 8})}})),
            "");
}

TEST(ServedForm, RefusesProgramsThatHaveNoSuchForm) {
  const auto built = [](const std::string& name, const BuiltinOptions& options) {
    const Program program = build_builtin_program(name, options);
    return program.with_graph(eval_form(program.graph()));
  };
  const Program table = built("mlp", {.input_shape = {3}, .classes = 2, .hidden = {2}});
  const ServedForm pixels{.pixels = PixelNormalization{{0.4}, {0.2}}};
  EXPECT_ERROR(served_program(table, pixels), InputError, "serve_preprocessing=pixels", "no [batch, channels");
  EXPECT_ERROR(served_program(cnn(), {.pixels = PixelNormalization{{1, 2}, {1, 1}}}), InputError, "2 means");
  EXPECT_ERROR(with_rounded_weights(table.to(at::kDouble)), InputError, "quantize=int8-weights", "no float32 weight");
}

TEST(TritonConfig, SaysWhatTheModelTakes) {
  ModelCard card{.program = "p", .digest = "0"};
  const Dimension batch = std::string("s0");
  card.inputs = {{"ids", "int64", {batch, std::string("s1")}}, {"kind", "int32", {batch}}};
  card.outputs = {{"logits", "float32", {batch, std::int64_t{2}}},
                  {"hidden.0", "bfloat16", {batch, std::string("s1")}}};
  EXPECT_EQ(triton_config("m", Export::kSavedModel, card, 2), R"(name: "m"
platform: "tensorflow_savedmodel"
max_batch_size: 128
input [
  {
    name: "ids"
    data_type: TYPE_INT64
    dims: [ -1 ]
  },
  {
    name: "kind"
    data_type: TYPE_INT32
    dims: [ 1 ]
    reshape: { shape: [ ] }
  }
]
output [
  {
    name: "logits"
    data_type: TYPE_FP32
    dims: [ 2 ]
    label_filename: "labels.txt"
  },
  {
    name: "hidden_0"
    data_type: TYPE_BF16
    dims: [ -1 ]
  }
]
dynamic_batching { }
)");
  const auto has = [&](Export format, const std::string& text) {
    const std::string config = triton_config("m", format, card, 0);
    EXPECT_NE(config.find(text), std::string::npos) << config;
  };
  has(Export::kOnnx, "name: \"hidden.0\"");
  has(Export::kTorchscript, "name: \"OUTPUT__1\"");
  has(Export::kTorchscript, "platform: \"pytorch_libtorch\"");
  card.outputs.push_back({"loss", "float32", {}});  // which is none of each sample
  has(Export::kOnnx, "max_batch_size: 0");
  has(Export::kOnnx, "dims: [ -1, -1 ]");
  has(Export::kOnnx, "dims: [ 1 ]\n    reshape: { shape: [ ] }");
  card.outputs[0].name = "ids";
  has(Export::kOnnx, "name: \"ids_1\"");
  card.outputs[0].type = "complex64";
  EXPECT_ERROR(triton_config("m", Export::kOnnx, card, 0), InputError, "complex64");
}

}  // namespace
}  // namespace lockstep

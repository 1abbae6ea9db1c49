#include "engine/artifacts/ModelDirectory.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>
#include <set>

#include "common/Crc32c.h"
#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/artifacts/ModelCard.h"
#include "engine/artifacts/OnnxArtifact.h"
#include "engine/files/NumberAt.h"
#include "engine/files/ZipFile.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/EvalForm.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

const std::vector<Export> kAll = {Export::kPt2, Export::kSafetensors, Export::kSavedModel, Export::kOnnx,
                                  Export::kTorchscript};
const std::vector<std::string> kLabels = {"ant", "bee", "cat"};

Program inference_program(std::uint64_t seed = 1) {
  const Program program = build_builtin_program(
      "cnn", {.input_shape = {1, 8, 8}, .classes = 3, .channels = {4}, .hidden = {5}, .seed = seed});
  return program.with_graph(eval_form(program.graph()));
}

std::string content(const fs::path& path) { return read_file(path, 1 << 24); }
void write(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

TEST(WriteArtifacts, WritesAllFormatsAndWhatGoesBesideThem) {
  const TemporaryDirectory directory;
  const Program program = inference_program();
  const auto probes =
      make_probes(program, {Probe::Inputs{at::randn({1, 1, 8, 8})}, Probe::Inputs{at::randn({7, 1, 8, 8})}});
  const auto paths = write_artifacts(program, kAll, directory / "model", probes, {.texts = {{"fields.json", "{}"}}});
  EXPECT_EQ(paths, (std::vector<fs::path>{directory / "model/model.pt2", directory / "model/model.safetensors",
                                          directory / "model/1", directory / "model/model.onnx",
                                          directory / "model/model.pt", directory / "model/fields.json"}));
  std::set<std::string> entries;
  for (const auto& entry : fs::directory_iterator(directory / "model")) entries.insert(entry.path().filename());
  EXPECT_EQ(entries, (std::set<std::string>{"1", "fields.json", "model.onnx", "model.pt", "model.pt2",
                                            "model.safetensors", "model_card.json", "model_card.md"}));
  EXPECT_TRUE(write_artifacts(program, {}, directory / "none", probes).empty());
  EXPECT_FALSE(fs::exists(directory / "none"));
}

TEST(WriteArtifacts, KeepsNothingWhenAnArtifactDoesNotComputeTheSame) {
  const TemporaryDirectory directory;
  const Program program = inference_program();
  auto probes = make_probes(program, {Probe::Inputs{at::randn({2, 1, 8, 8})}});
  probes[0].outputs[0] = probes[0].outputs[0].add(0.01);
  EXPECT_ERROR(write_artifacts(program, {Export::kPt2}, directory / "model", probes), SystemError, "model.pt2",
               "differs by up to 0.01");
  EXPECT_TRUE(fs::is_empty(directory / "model"));
}

TEST(WriteArtifacts, KeepsTheOldOnesWhenTheNewFail) {
  const TemporaryDirectory directory;
  const Program program = inference_program();
  auto probes = make_probes(program, {Probe::Inputs{at::randn({2, 1, 8, 8})}});
  write_artifacts(program, {Export::kPt2}, directory / "model", probes);
  const std::string before = content(directory / "model/model.pt2");
  probes[0].outputs[0] = probes[0].outputs[0].neg();
  EXPECT_THROW(write_artifacts(program, {Export::kPt2}, directory / "model", probes), SystemError);
  EXPECT_EQ(content(directory / "model/model.pt2"), before);
}

// What reading back an artifact that is damaged ends with: an error, or what it computes.
std::string read_back(const Artifact& artifact, const Program& program, const fs::path& directory,
                      const std::vector<Probe>& probes) {
  try {
    return difference(artifact.read_back(program, directory), probes);
  } catch (const Error& error) {
    return error.what();
  }
}

// Where to change a byte: everywhere, but in an archive, where there is padding, in each entry.
std::vector<std::size_t> places(const fs::path& file, const std::string& bytes) {
  std::vector<std::size_t> found;
  if (!file.string().ends_with(".pt2") && !file.string().ends_with(".pt")) {
    for (std::size_t i = 0; i <= 16; ++i) found.push_back(i * (bytes.size() - 1) / 16);
    return found;
  }
  const auto length = [&](std::size_t place) { return number_at<std::uint16_t>(bytes.data() + place); };
  const auto number = [&](std::size_t place) { return number_at<std::uint32_t>(bytes.data() + place); };
  std::size_t entries = 0;
  const std::string record = "PK\x01\x02";  // of the directory of entries
  for (std::size_t at = 0; (at = bytes.find(record, at)) != std::string::npos; at += record.size(), ++entries) {
    const std::size_t packed = number(at + 20);
    const std::size_t header = number(at + 42);
    const std::size_t start = header + 30 + length(header + 26) + length(header + 28);
    if (packed == 0) continue;
    for (const std::size_t i : {std::size_t{0}, packed / 2, packed - 1}) found.push_back(start + i);
  }
  EXPECT_EQ(entries, ZipFile(file).names().size()) << file;
  EXPECT_GT(found.size(), 2 * entries) << file;  // hardly any is empty
  return found;
}

std::vector<std::unique_ptr<Artifact>> artifacts_of_all_formats() {
  std::vector<std::unique_ptr<Artifact>> artifacts;
  const ArtifactOptions options{.metadata = {{"step", "7"}}, .labels = kLabels};
  for (const Export format : kAll) artifacts.push_back(make_artifact(format, options));
  artifacts.push_back(std::make_unique<OnnxArtifact>(options, 0));  // with model.onnx.data
  return artifacts;
}

// Each file of each format: a byte changed, cut short, or gone.
TEST(ReadBack, NamesTheFileThatIsNotAsItWasWritten) {
  const Program program = inference_program();
  const auto probes = make_probes(program, {Probe::Inputs{at::randn({2, 1, 8, 8})}});
  std::set<std::string> names;
  for (const auto& artifact : artifacts_of_all_formats()) {
    const TemporaryDirectory directory;
    artifact->write(program, directory.path());
    ASSERT_EQ(read_back(*artifact, program, directory.path(), probes), "");
    for (const ListedFile& file : list_files(directory.path())) {
      SCOPED_TRACE(file.name);
      names.insert(file.name);
      const fs::path path = directory / file.name;
      const std::string bytes = content(path);
      const auto named = [&] {
        return read_back(*artifact, program, directory.path(), probes).find(path.string()) != std::string::npos;
      };
      for (const std::size_t place : places(path, bytes)) {
        std::string changed = bytes;
        changed.at(place) = static_cast<char>(changed.at(place) ^ 1);
        write(path, changed);
        EXPECT_TRUE(named()) << "byte " << place << ": " << read_back(*artifact, program, directory.path(), probes);
      }
      write(path, bytes.substr(0, bytes.size() - 1));
      EXPECT_TRUE(named()) << read_back(*artifact, program, directory.path(), probes);
      fs::remove(path);
      EXPECT_TRUE(named()) << read_back(*artifact, program, directory.path(), probes);
      write(path, bytes);
    }
  }
  EXPECT_EQ(names,
            (std::set<std::string>{"1/assets/labels.txt", "1/saved_model.pb",
                                   "1/variables/variables.data-00000-of-00001", "1/variables/variables.index",
                                   "model.onnx", "model.onnx.data", "model.pt", "model.pt2", "model.safetensors"}));
}

class ModelDirectory : public testing::Test {
 protected:
  ModelDirectory() {
    const Program program = inference_program();
    const std::vector<Probe::Inputs> kept = {{at::randn({1, 1, 8, 8})}, {at::randn({2, 1, 8, 8})}};
    write_artifacts(program, kAll, path_, make_probes(program, kept),
                    {.texts = {{"fields.json", "{}"}},
                     .job = {{"step", 7}, {"metrics", {{"loss", 0.5}}}, {"labels", {"a|b", "c"}}},
                     .probes = kept,
                     .labels = kLabels});
  }

  const TemporaryDirectory directory_;
  const fs::path path_ = directory_ / "model";
};

TEST_F(ModelDirectory, IsWhatWasWritten) {
  EXPECT_EQ(check_model_directory(path_),
            (std::vector<std::string>{
                "model.pt2: as it was written, and computes the outputs that are kept in probes.safetensors",
                "model.safetensors: as it was written",
                "1: as it was written, and computes the outputs that are kept in probes.safetensors",
                "model.onnx: as it was written, and computes the outputs that are kept in probes.safetensors",
                "model.pt: as it was written, and computes the outputs that are kept in probes.safetensors"}));
  const ModelCard card = ModelCard::read(path_);
  EXPECT_EQ(card.program, "cnn");
  ASSERT_EQ(card.inputs.size(), 1);
  EXPECT_EQ(card.inputs[0].name, "x");
  EXPECT_EQ(card.inputs[0].type, "float32");
  ASSERT_EQ(card.inputs[0].sizes.size(), 4);
  EXPECT_TRUE(std::holds_alternative<std::string>(card.inputs[0].sizes[0]));
  EXPECT_EQ(card.inputs[0].sizes[3], Dimension(std::int64_t{8}));
  EXPECT_EQ(card.outputs[0].sizes[1], Dimension(std::int64_t{3}));
  EXPECT_EQ(card.job.at("step"), 7);
  const std::string text = content(path_ / ModelCard::kText);
  for (const char* part : {"# cnn", "`x` | float32", "- step: 7", "  - loss: 0.5", "a\\|b", "`1/saved_model.pb`"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

// Each file that the card lists: a byte changed at its start, its middle or its end, cut short, or gone. Returns the
// files.
std::set<std::string> files_that_are_named(const fs::path& directory) {
  std::set<std::string> names;
  for (const ListedFile& file : ModelCard::read(directory).files) {
    const fs::path path = directory / file.name;
    const std::string bytes = content(path);
    for (const std::size_t at : {std::size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ 1);
      write(path, changed);
      EXPECT_ERROR(check_model_directory(directory), InputError, path.string(), "has the checksum");
    }
    write(path, bytes.substr(0, bytes.size() - 1));
    EXPECT_ERROR(check_model_directory(directory), InputError, path.string(), "were written");
    fs::remove(path);
    EXPECT_ERROR(check_model_directory(directory), InputError, path.string());
    write(path, bytes);
    names.insert(file.name);
  }
  return names;
}

TEST_F(ModelDirectory, NamesWhatIsNot) {
  // As of a large program: its parameters are beside model.onnx.
  OnnxArtifact({}, 0).write(inference_program(), path_);
  ModelCard card = ModelCard::read(path_);
  fs::remove(path_ / ModelCard::kFile);
  fs::remove(path_ / ModelCard::kText);
  card.files = list_files(path_);
  card.write(path_);
  EXPECT_EQ(
      files_that_are_named(path_),
      (std::set<std::string>{"1/assets/labels.txt", "1/saved_model.pb", "1/variables/variables.data-00000-of-00001",
                             "1/variables/variables.index", "fields.json", "model.onnx", "model.onnx.data", "model.pt",
                             "model.pt2", "model.safetensors", "model_card.md", "probes.safetensors"}));
  EXPECT_EQ(check_model_directory(path_).size(), kAll.size());
}

TEST_F(ModelDirectory, NamesWhatIsNotInTheLayoutsOfServers) {
  const Program program = inference_program();
  for (const Layout layout : {Layout::kPytorch, Layout::kTriton}) {
    const fs::path path = directory_ / to_string(layout);
    write_artifacts(program, {Export::kOnnx, Export::kTorchscript}, path,
                    make_probes(program, {{at::randn({1, 1, 8, 8})}}),
                    {.labels = kLabels, .layout = layout, .served_name = "pets"});
    const std::set<std::string> expected =
        layout == Layout::kPytorch
            ? std::set<std::string>{"code/inference.py", "model.onnx", "model.pt", "model_card.md"}
            : std::set<std::string>{"model_card.md",
                                    "pets_onnx/1/model.onnx",
                                    "pets_onnx/config.pbtxt",
                                    "pets_onnx/labels.txt",
                                    "pets_torchscript/1/model.pt",
                                    "pets_torchscript/config.pbtxt",
                                    "pets_torchscript/labels.txt"};
    EXPECT_EQ(files_that_are_named(path), expected);
    EXPECT_EQ(check_model_directory(path).size(), 2);
  }
}

TEST_F(ModelDirectory, NamesWhatAnEarlierJobLeft) {
  const Program program = inference_program();
  write_artifacts(program, {Export::kPt2}, path_, make_probes(program, {{at::randn({1, 1, 8, 8})}}));
  EXPECT_ERROR(check_model_directory(path_), InputError, (path_ / "model.safetensors").string(),
               "an earlier job left it");
}

TEST_F(ModelDirectory, NoticesWhatComputesSomethingElse) {
  const TemporaryDirectory other;
  const Program program = inference_program(2);
  const std::vector<Probe::Inputs> kept = {{at::randn({1, 1, 8, 8})}};
  write_artifacts(program, {Export::kPt2}, other / "model", make_probes(program, kept), {.probes = kept});
  // The program of one with the outputs of another, and a card that says that all is well.
  fs::copy_file(path_ / kProbesFile, other / "model" / kProbesFile, fs::copy_options::overwrite_existing);
  ModelCard card = ModelCard::read(other / "model");
  fs::remove(other / "model" / ModelCard::kFile);
  fs::remove(other / "model" / ModelCard::kText);
  for (const ListedFile& file : list_files(other / "model")) {
    if (file.name == kProbesFile) std::ranges::find(card.files, file.name, &ListedFile::name)->crc32c = file.crc32c;
    if (file.name == kProbesFile) std::ranges::find(card.files, file.name, &ListedFile::name)->bytes = file.bytes;
  }
  card.write(other / "model");
  EXPECT_ERROR(check_model_directory(other / "model"), InputError, "model.pt2", "does not compute");
}

TEST_F(ModelDirectory, RefusesCardsThatAreNone) {
  const std::string good = content(path_ / ModelCard::kFile);
  const auto refused = [&](const std::string& text, const std::string& why) {
    write(path_ / ModelCard::kFile, text);
    EXPECT_ERROR(check_model_directory(path_), InputError, ModelCard::kFile, why);
  };
  refused("", "JSON");
  refused("[]", "no model card");
  refused("{}", "no model card");
  const auto changed = [&](const std::string& from, const std::string& to) {
    const std::size_t at = good.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return std::string(good).replace(at, from.size(), to);
  };
  refused(changed("\"parameters\": ", "\"parameters\": 1"), "not as it was written");
  refused(changed("\"step\": 7", "\"step\": 8"), "not as it was written");
  const auto with = [&](const std::string& from, const std::string& to) {  // whose checksum is right
    nlohmann::json document = nlohmann::json::parse(changed(from, to));
    document.erase("crc32c");
    const std::string text = document.dump();
    document["crc32c"] = format("%08x", crc32c(std::as_bytes(std::span(text))));
    return document.dump();
  };
  refused(with("\"version\": 1", "\"version\": 2"), "version 2");
  refused(with("\"1/saved_model.pb\"", "\"../saved_model.pb\""), "no file of the directory");
  refused(with("\"1/saved_model.pb\"", "\"/etc/passwd\""), "no file of the directory");
  refused(with("\"artifacts\": [\n  \"model.pt2\"", "\"artifacts\": [\n  \"model.exe\""), "model.exe");
  refused(with("\"artifacts\": [", "\"artifacts\": [3,"), "");
  fs::remove(path_ / ModelCard::kFile);
  EXPECT_ERROR(check_model_directory(path_), InputError, ModelCard::kFile);
}

}  // namespace
}  // namespace lockstep

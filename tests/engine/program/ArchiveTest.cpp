#include "engine/program/Archive.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>

#include "common/Error.h"
#include "common/File.h"
#include "engine/files/ZipFile.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/Executor.h"
#include "tests/support/ExpectError.h"
#include "tests/support/Soak.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestZip.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void write_bytes(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// Replaces a text of the archive by another of the same length: offsets stay, checksums do not matter to the reader of
// the zip's directory, and the change is seen as an archive written wrongly would be.
void replace_all(std::string& bytes, const std::string& from, const std::string& to) {
  ASSERT_EQ(from.size(), to.size());
  ASSERT_NE(bytes.find(from), std::string::npos);
  for (std::size_t at = 0; (at = bytes.find(from, at)) != std::string::npos; at += to.size())
    bytes.replace(at, to.size(), to);
}

TEST(Archive, RoundTripKeepsGraphAndTensors) {
  const TemporaryDirectory directory;
  const Program program = build_builtin_program("cnn", {});
  write_archive(program, directory / "cnn.pt2");
  const Program again = read_archive(directory / "cnn.pt2");
  EXPECT_EQ(again.name(), "cnn");
  EXPECT_EQ(again.digest(), program.digest());
  EXPECT_EQ(again.parameter_count(), program.parameter_count());
  EXPECT_TRUE(again.trained_parameters().at(0).tensor.requires_grad());
}

TEST(Archive, TiedParametersStayOneTensor) {
  const TemporaryDirectory directory;
  Graph graph = build_builtin_program("mlp", {.input_shape = {8}, .classes = 8, .hidden = {8}}).graph();
  const at::Tensor tied = at::randn({8, 8}).set_requires_grad(true);
  const at::Tensor bias = at::zeros({8}).set_requires_grad(true);
  const Program program("tied", graph,
                        {{"fc1.weight", tied}, {"fc2.weight", tied}, {"fc1.bias", bias}, {"fc2.bias", bias}});
  EXPECT_EQ(program.parameter_count(), 72);
  write_archive(program, directory / "tied.pt2");
  const Program again = read_archive(directory / "tied.pt2");
  EXPECT_EQ(again.parameter_count(), 72);
  EXPECT_EQ(again.trained_parameters().size(), 2);
  EXPECT_EQ(again.to(at::kDouble).parameter_count(), 72);
  EXPECT_EQ(again.clone().trained_parameters().size(), 2);
}

TEST(Archive, RefusesWhatIsNoArchive) {
  const TemporaryDirectory directory;
  EXPECT_ERROR(read_archive(directory / "none.pt2"), InputError, "none.pt2", "not a file");
  write_bytes(directory / "empty.pt2", "");
  EXPECT_ERROR(read_archive(directory / "empty.pt2"), InputError, "empty.pt2");
  write_bytes(directory / "text.pt2", std::string(5000, 'x'));
  EXPECT_ERROR(read_archive(directory / "text.pt2"), InputError, "text.pt2");
  EXPECT_ERROR(read_archive(directory.path()), InputError, "not a file");
}

TEST(Archive, RefusesEveryTruncation) {
  const TemporaryDirectory directory;
  write_archive(build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {4}}), directory / "mlp.pt2");
  const std::string whole = read_file(directory / "mlp.pt2", 1 << 20);
  for (std::size_t size = 0; size < whole.size(); size += whole.size() / 37) {
    write_bytes(directory / "cut.pt2", whole.substr(0, size));
    EXPECT_ERROR(read_archive(directory / "cut.pt2"), InputError, "cut.pt2");
  }
}

TEST(Archive, FlippedBytesNeverCrash) {
  const TemporaryDirectory directory;
  write_archive(build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {4}}), directory / "mlp.pt2");
  const std::string whole = read_file(directory / "mlp.pt2", 1 << 20);
  int refused = 0;
  const std::size_t stride = soaking() ? 1 : 13;
  for (std::size_t at = 0; at < whole.size(); at += stride) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x41);
    write_bytes(directory / "flipped.pt2", changed);
    try {
      const Program program = read_archive(directory / "flipped.pt2");
      const Executor executor(program);
    } catch (const InputError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 50);
}

// The archive with another text in its entries, and their checksums.
std::string archive_with(const fs::path& path, const std::string& from, const std::string& to) {
  const ZipFile archive(path);
  std::vector<ZipEntry> entries;
  for (const std::string& name : archive.names()) {
    std::string text = archive.text(name, 1 << 24);
    if (text.find(from) != std::string::npos) replace_all(text, from, to);
    entries.push_back({name, text});
  }
  return zip_file(entries);
}

TEST(Archive, RefusesSizesThatTheFileDoesNotHold) {
  const TemporaryDirectory directory;
  write_archive(build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {4}}), directory / "mlp.pt2");
  write_bytes(directory / "swapped.pt2",
              archive_with(directory / "mlp.pt2", "\"path_name\":\"weight_2\"", "\"path_name\":\"weight_3\""));
  EXPECT_ERROR(read_archive(directory / "swapped.pt2"), InputError, "fc2.weight", "8 bytes", "need 32");
}

TEST(Archive, RefusesStridesThatMakeATensorLargerThanTheArchive) {
  const TemporaryDirectory directory;
  write_archive(build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {100000}}),
                directory / "mlp.pt2");
  // The bias of the hidden layer, as weight_1: 400 kB with a stride of 1; 4 MB with a stride of 0, in an archive of 2.8
  // MB.
  write_bytes(directory / "wide.pt2",
              archive_with(directory / "mlp.pt2",
                           R"("sizes":[{"as_int":100000}],"storage_offset":{"as_int":0},"strides":[{"as_int":1}])",
                           R"("sizes":[{"as_int":999999}],"storage_offset":{"as_int":0},"strides":[{"as_int":0}])"));
  EXPECT_ERROR(read_archive(directory / "wide.pt2"), InputError, "wide.pt2", "fc1.bias", "larger than the archive");
}

// The archive's entries, with a change to the graph and to the configuration of its weights.
std::vector<ZipEntry> entries_of(const fs::path& path, const std::function<void(json& model, json& weights)>& change) {
  const ZipFile archive(path, ZipNames::kWithinFolder);
  constexpr std::uint64_t kMost = 1 << 24;
  json model = json::parse(archive.text("models/model.json", kMost));
  json weights = json::parse(archive.text("data/weights/model_weights_config.json", kMost));
  change(model, weights);
  std::vector<ZipEntry> entries = {{"a/models/model.json", model.dump()},
                                   {"a/data/weights/model_weights_config.json", weights.dump()}};
  for (int i = 0; archive.has("data/weights/weight_" + std::to_string(i)); ++i) {
    const std::string name = "data/weights/weight_" + std::to_string(i);
    entries.push_back({"a/" + name, archive.text(name, kMost)});
  }
  return entries;
}

json as_ints(const std::vector<std::int64_t>& values) {
  json list = json::array();
  for (const std::int64_t value : values) list.push_back({{"as_int", value}});
  return list;
}

class ChangedArchive : public testing::Test {
 protected:
  void SetUp() override {
    write_archive(build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {4}}), original());
  }
  fs::path original() const { return directory_ / "original.pt2"; }
  Program read(const std::vector<ZipEntry>& entries) const {
    write_bytes(directory_ / "changed.pt2", zip_file(entries));
    return read_archive(directory_ / "changed.pt2");
  }
  Program read(const std::function<void(json& model, json& weights)>& change) const {
    return read(entries_of(original(), change));
  }

 private:
  const TemporaryDirectory directory_;
};

TEST_F(ChangedArchive, MayBeCompressed) {
  std::vector<ZipEntry> entries = entries_of(original(), [](json&, json&) {});
  const std::string digest = read(entries).digest();
  for (ZipEntry& entry : entries) entry.deflated = true;
  EXPECT_EQ(read(entries).digest(), digest);
  EXPECT_EQ(read_archive(original()).digest(), digest);
}

// 3 MB that unpack to 3 GB were unpacked before anyone asked whether the graph needs them.
TEST_F(ChangedArchive, UnpacksNoMoreThanTheGraphNeeds) {
  std::vector<ZipEntry> entries = entries_of(original(), [](json&, json&) {});
  const std::string zeros(std::size_t{80} << 20, '\0');
  for (const char* name : {"a/data/weights/weight_0", "a/models/model.json", "a/byteorder"}) {
    std::vector<ZipEntry> bomb = entries;
    std::erase_if(bomb, [&](const ZipEntry& entry) { return entry.name == name; });
    bomb.push_back({name, zeros, true});
    EXPECT_ERROR(read(bomb), InputError, "changed.pt2", "83886080 bytes");
  }
}

TEST_F(ChangedArchive, ReadsOnlyTensorsThatTheGraphNames) {
  const Program program = read([](json&, json& weights) {
    weights["config"]["nobody.asks"] = weights["config"]["fc1.bias"];
    weights["config"]["nobody.asks"]["path_name"] = "weight_99";
  });
  EXPECT_EQ(program.state().size(), 4);
}

TEST_F(ChangedArchive, HoldsWhatTheGraphSaysOfItsState) {
  const auto values = [](json& model) -> json& { return model["graph_module"]["graph"]["tensor_values"]; };
  EXPECT_ERROR(read([&](json& model, json&) { values(model)["p_fc1_weight"]["sizes"] = as_ints({16}); }), InputError,
               "\"fc1.weight\" is Float [4, 4]", "p_fc1_weight");
  EXPECT_ERROR(read([&](json& model, json&) { values(model)["p_fc1_weight"]["dtype"] = 5; }), InputError, "fc1.weight");
  EXPECT_ERROR(read([&](json& model, json&) { values(model).erase("p_fc1_weight"); }), InputError, "p_fc1_weight");
}

TEST_F(ChangedArchive, RefusesViewsThatNoTensorHas) {
  const auto with = [&](const char* key, const json& value) {
    read([&](json&, json& weights) { weights["config"]["fc1.bias"]["tensor_meta"][key] = value; });
  };
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  with("sizes", as_ints({4}));
  for (const std::int64_t offset : {kMost, std::int64_t{-1}, std::int64_t{1} << 62}) {
    EXPECT_ERROR(with("storage_offset", json{{"as_int", offset}}), InputError, "fc1.bias");
    EXPECT_ERROR(read([&](json&, json& weights) {
                   json& meta = weights["config"]["fc1.bias"]["tensor_meta"];
                   meta["storage_offset"] = {{"as_int", offset}};
                   meta["sizes"] = json::array();
                   meta["strides"] = json::array();
                 }),
                 InputError, "fc1.bias");
  }
  EXPECT_ERROR(read([&](json&, json& weights) {
                 json& meta = weights["config"]["fc1.bias"]["tensor_meta"];
                 meta["sizes"] = as_ints({0, 1LL << 62, 1LL << 62});
                 meta["strides"] = as_ints({1, 1, 1});
               }),
               InputError, "fc1.bias", "impossible sizes");
  EXPECT_ERROR(with("strides", json::array()), InputError, "fc1.bias", "impossible sizes");
  EXPECT_ERROR(with("dtype", 99), InputError, "fc1.bias", "element type 99");
  EXPECT_ERROR(with("dtype", 300.5), InputError, "fc1.bias");
}

// Names of windows of one storage cost what they show, not each the whole.
TEST_F(ChangedArchive, ManyNamesMayShareOneStorage) {
  const Program program = read([](json& model, json& weights) {
    json& values = model["graph_module"]["graph"]["tensor_values"];
    json& specs = model["graph_module"]["signature"]["input_specs"];
    for (int i = 0; i < 2000; ++i) {
      const std::string name = "w" + std::to_string(i);
      json entry = weights["config"]["fc1.weight"];
      entry["tensor_meta"]["sizes"] = as_ints({4, 4});
      entry["tensor_meta"]["strides"] = as_ints({0, 1});
      entry["tensor_meta"]["storage_offset"] = {{"as_int", i % 12}};
      weights["config"][name] = entry;
      values["p_" + name] = values["p_fc1_weight"];
      json spec = json::object();
      spec["parameter"] = {{"arg", {{"name", "p_" + name}}}, {"parameter_name", name}};
      specs.insert(specs.begin(), spec);
    }
  });
  EXPECT_EQ(program.state().size(), 2004);
}

TEST_F(ChangedArchive, RefusesNestingThatNoExporterWrites) {
  std::vector<ZipEntry> entries = entries_of(original(), [](json&, json&) {});
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  for (ZipEntry& entry : std::span(entries).first(2)) {
    const std::string whole = entry.content;
    entry.content = deep;
    EXPECT_ERROR(read(entries), InputError, "changed.pt2", "nested more than 100 deep");
    entry.content = R"({"range_constraints": )" + deep + "," + whole.substr(1);
    EXPECT_ERROR(read(entries), InputError, "changed.pt2", "nested more than 100 deep");
    entry.content = whole;
  }
  EXPECT_NO_THROW(read(entries));
}

TEST(Archive, RefusesAFixedBatchSizeAndSaysHowToExport) {
  const TemporaryDirectory directory;
  Graph graph = build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {4}}).graph();
  graph.document["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0] = {{"as_int", 32}};
  const Program fixed =
      build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {4}}).with_graph(graph);
  write_archive(fixed, directory / "fixed.pt2");
  EXPECT_ERROR(read_archive(directory / "fixed.pt2"), InputError, "fixed batch size of 32", "torch.export.Dim");
}

TEST(Archive, AFullDiskIsAnError) {
  EXPECT_ERROR(write_archive(build_builtin_program("mlp", {}), "/dev/full"), SystemError, "/dev/full", "No space left");
}

}  // namespace
}  // namespace lockstep

#include "engine/program/Archive.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>

#include "common/Error.h"
#include "common/File.h"
#include "engine/program/BuiltinPrograms.h"
#include "engine/program/Executor.h"
#include "tests/support/ExpectError.h"
#include "tests/support/Soak.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

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

TEST(Archive, RefusesSizesThatTheFileDoesNotHold) {
  const TemporaryDirectory directory;
  write_archive(build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {4}}), directory / "mlp.pt2");
  std::string bytes = read_file(directory / "mlp.pt2", 1 << 20);
  replace_all(bytes, "\"path_name\":\"weight_2\"", "\"path_name\":\"weight_3\"");
  write_bytes(directory / "swapped.pt2", bytes);
  EXPECT_ERROR(read_archive(directory / "swapped.pt2"), InputError, "fc2.weight", "8 bytes", "need 32");
}

TEST(Archive, RefusesStridesThatMakeATensorLargerThanTheArchive) {
  const TemporaryDirectory directory;
  write_archive(build_builtin_program("mlp", {.input_shape = {4}, .classes = 2, .hidden = {100000}}),
                directory / "mlp.pt2");
  std::string bytes = read_file(directory / "mlp.pt2", 1 << 24);
  // The bias of the hidden layer, as weight_1: 400 kB with a stride of 1; 4 MB with a stride of 0, in an archive of 2.8
  // MB.
  replace_all(bytes, R"("sizes":[{"as_int":100000}],"storage_offset":{"as_int":0},"strides":[{"as_int":1}])",
              R"("sizes":[{"as_int":999999}],"storage_offset":{"as_int":0},"strides":[{"as_int":0}])");
  write_bytes(directory / "wide.pt2", bytes);
  EXPECT_ERROR(read_archive(directory / "wide.pt2"), InputError, "wide.pt2", "fc1.bias", "larger than the archive");
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

// Arrays that stay in their files: read as those in memory are, in every format that has them.
#include "engine/data/FileDataset.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/data/Formats.h"
#include "tests/support/ExpectError.h"
#include "tests/support/PeakMemory.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestArrays.h"
#include "tests/support/TestReads.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class FileArrays : public testing::Test {
 protected:
  static constexpr std::int64_t kSamples = 3 << 10;
  static constexpr std::int64_t kEach = 64 << 10;  // numbers of a byte: 192 MiB, more than is read into memory

  void write(const std::string& name, const std::string& bytes, std::uintmax_t size = 0) {
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
    if (size > 0) fs::resize_file(directory_ / name, size);
  }
  /// Puts a byte in a file.
  void put(const std::string& name, std::uint64_t offset, char byte) {
    std::fstream file(directory_ / name, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(byte);
  }
  std::shared_ptr<const Dataset> open() { return Formats::builtin().open(directory_.path()).dataset; }

  TemporaryDirectory directory_;
};

TEST_F(FileArrays, OfNpyAreReadWhereTheyLie) {
  const std::string header = npy("|u1", "(3072, 65536)", "");
  write("x.npy", header, header.size() + kSamples * kEach);
  put("x.npy", header.size(), 5);
  put("x.npy", header.size() + 7 * kEach + 1, 6);
  put("x.npy", header.size() + kSamples * kEach - 1, 7);
  std::vector<std::int16_t> labels(kSamples);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int16_t>(i);
  std::string swapped = bytes_of(labels);
  for (std::size_t i = 0; i < swapped.size(); i += 2) std::swap(swapped[i], swapped[i + 1]);
  write("y.npy", npy(">i2", "(3072,)", swapped));
  write("m.npy", npy("|b1", "(3072,)", std::string(kSamples, '\2')));
  std::uint64_t memory = 0;
  EXPECT_NO_THROW(memory = peak_memory([&] {
                    const auto data = open();
                    const auto x = read_field<std::uint8_t>(*data, "x", {kSamples - 1, 0, 7, 8});
                    if (x[kEach - 1] != 7 || x[kEach] != 5 || x[2 * kEach + 1] != 6) throw InternalError("other bytes");
                  }));
  EXPECT_LT(memory, 16 << 20);
  const auto data = open();
  EXPECT_EQ(data->size(), kSamples);
  EXPECT_EQ(read_field<std::int16_t>(*data, "y", {3000, 1, 2, 3}), (std::vector<std::int16_t>{3000, 1, 2, 3}));
  EXPECT_EQ(read_field<std::uint8_t>(*data, "m", {1}), (std::vector<std::uint8_t>{1}));
  EXPECT_TRUE(data->spec().fields[data->spec().find("x").value()].large);
  EXPECT_FALSE(data->spec().fields[data->spec().find("y").value()].large);
  EXPECT_NE(data->place(data->spec().find("y").value(), 1).find("y.npy, at byte 130"), std::string::npos);

  const std::string digest = data->digest();
  put("x.npy", header.size() + kSamples * kEach - 1, 8);
  EXPECT_NE(open()->digest(), digest);
  fs::resize_file(directory_ / "x.npy", header.size() + kSamples * kEach - 1);
  EXPECT_ERROR(read_field<std::uint8_t>(*data, "x", {kSamples - 1}), InputError,
               "x.npy is truncated: it ends at byte 201326719");
  EXPECT_ERROR(open(), InputError, "x.npy is truncated at byte 201326719", "ends at byte 201326720");
  fs::resize_file(directory_ / "x.npy", header.size() + kSamples * kEach + 1);
  EXPECT_ERROR(open(), InputError, "x.npy has more bytes than it should: 201326721");
  write("m.npy", npy("|b1", "()", "\1"));
  EXPECT_ERROR(open(), InputError, "m.npy holds a single number");
}

TEST_F(FileArrays, OfSafetensorsAreReadWhereTheyLie) {
  const std::string header = safetensors(R"({"x":{"dtype":"U8","shape":[3072,65536],"data_offsets":[0,201326592]},)"
                                         R"("y":{"dtype":"U8","shape":[3072],"data_offsets":[201326592,201329664]}})",
                                         "");
  write("data.safetensors", header, header.size() + kSamples * kEach + kSamples);
  put("data.safetensors", header.size() + kEach, 5);
  put("data.safetensors", header.size() + kSamples * kEach + 9, 6);
  const auto data = open();
  EXPECT_EQ(read_field<std::uint8_t>(*data, "x", {1})[0], 5);
  EXPECT_EQ(read_field<std::uint8_t>(*data, "y", {9}), std::vector<std::uint8_t>{6});
  EXPECT_TRUE(data->spec().fields[0].large);
}

TEST_F(FileArrays, OfIdxAreReadWhereTheyLie) {
  using namespace std::string_literals;
  const std::string header = "\0\0\x0b\3\0\0\x0c\0\0\0\1\0\0\0\0\x80"s;  // 3072 × 256 × 128 of int16
  write("inputs", header, header.size() + kSamples * kEach);
  put("inputs", header.size() + kEach + 1, 5);
  write("targets", "\0\0\x08\1\0\0\x0c\0"s + std::string(kSamples, '\3'));
  const auto data = open();
  EXPECT_EQ(data->spec().fields[0].sizes, (std::vector<std::int64_t>{1, 256, 128}));
  EXPECT_EQ(read_field<std::int16_t>(*data, "inputs", {1})[0], 5);
  EXPECT_EQ(read_field<std::uint8_t>(*data, "targets", {3071}), std::vector<std::uint8_t>{3});
}

// Neighbours are read at once, and not beyond the part of a file that they lie in.
TEST_F(FileArrays, PartsFollowOneAnother) {
  write("a", "h0123");
  write("b", "456789");
  std::vector<RandomAccessFile> files;
  files.emplace_back(directory_ / "a");
  files.emplace_back(directory_ / "b");
  const FileDataset data("here", std::move(files),
                         {{.field = {.name = "x", .type = ElementType::kUint8, .sizes = {2}},
                           .stride = 2,
                           .parts = {{.file = 0, .offset = 1, .samples = 2}, {.file = 1, .offset = 0, .samples = 3}}}});
  const auto x = read_field<std::uint8_t>(data, "x", {1, 2, 3, 0, 4, 4});
  EXPECT_EQ(std::string(x.begin(), x.end()), "234567018989");
}

}  // namespace
}  // namespace lockstep

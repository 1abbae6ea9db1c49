#include <gtest/gtest.h>
#include <zlib.h>

#include <bit>
#include <fstream>

#include "common/Error.h"
#include "engine/data/IdxDataset.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(value >> shift);
  return bytes;
}

std::string idx(int type, std::initializer_list<std::uint32_t> sizes, const std::string& elements) {
  std::string bytes{'\0', '\0', static_cast<char>(type), static_cast<char>(sizes.size())};
  for (const std::uint32_t size : sizes) bytes += big_endian(size);
  return bytes + elements;
}

void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

void write_gzip(const fs::path& path, const std::string& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
}

// Three images of 2 × 2 and their labels.
const std::string kImages = idx(8, {3, 2, 2}, std::string("\x00\x33\x66\xff\x01\x02\x03\x04\x0a\x0b\x0c\x0d", 12));
const std::string kLabels = idx(8, {3}, std::string("\x02\x00\x01", 3));

TEST(IdxFile, ReadsPlainAndGzip) {
  const TemporaryDirectory directory;
  write(directory / "plain", kImages);
  write_gzip(directory / "zipped", kImages);
  for (const char* name : {"plain", "zipped"}) {
    const IdxArray array = read_idx(directory / name);
    EXPECT_EQ(array.header.dimensions, (std::vector<std::int64_t>{3, 2, 2}));
    EXPECT_EQ(array.bytes.at(3), 0xff);
  }
}

TEST(IdxFile, ReadsNumbers) {
  const TemporaryDirectory directory;
  write(directory / "f", idx(0x0D, {2}, big_endian(std::bit_cast<std::uint32_t>(1.5f)) + big_endian(0xC0000000)));
  EXPECT_EQ(read_idx(directory / "f").numbers, (std::vector<double>{1.5, -2}));
  write(directory / "d", idx(0x0E, {1}, big_endian(0x3FF80000) + big_endian(0)));
  EXPECT_EQ(read_idx(directory / "d").numbers, (std::vector<double>{1.5}));
  write(directory / "i", idx(0x0C, {2}, big_endian(70000) + big_endian(0xFFFFFFFF)));
  EXPECT_EQ(read_idx(directory / "i").numbers, (std::vector<double>{70000, -1}));
}

TEST(IdxFile, RefusesEveryTruncationPlainAndGzip) {
  const TemporaryDirectory directory;
  for (std::size_t size = 4; size < kImages.size(); ++size) {
    write(directory / "cut", kImages.substr(0, size));
    EXPECT_ERROR(read_idx(directory / "cut"), InputError, "cut", "truncated");
  }
  write_gzip(directory / "whole", kImages);
  std::ifstream file(directory / "whole", std::ios::binary);
  const std::string zipped((std::istreambuf_iterator<char>(file)), {});
  for (std::size_t size = 20; size < zipped.size(); ++size) {
    write(directory / "cut", zipped.substr(0, size));
    EXPECT_THROW(read_idx(directory / "cut"), InputError) << size;
  }
}

TEST(IdxFile, AHeaderThatLiesCannotMakeUsAllocate) {
  const TemporaryDirectory directory;
  write(directory / "big", idx(8, {1u << 31, 1u << 14}, "only a few bytes"));
  EXPECT_ERROR(read_idx(directory / "big"), InputError, "truncated", "16");
  write(directory / "huge", idx(14, {~0u, ~0u, ~0u, ~0u}, ""));
  EXPECT_ERROR(read_idx(directory / "huge"), InputError, "impossible size");
}

TEST(IdxFile, RefusesBytesAfterTheEndAndOtherFiles) {
  const TemporaryDirectory directory;
  write(directory / "more", kImages + "x");
  EXPECT_ERROR(read_idx(directory / "more"), InputError, "more bytes");
  write(directory / "text", "hello, world");
  EXPECT_FALSE(read_idx_header(directory / "text").has_value());
  EXPECT_ERROR(read_idx(directory / "text"), InputError, "magic number");
  EXPECT_ERROR(read_idx(directory / "none"), InputError, "none");
}

TEST(IdxDataset, NormalizesImagesAndFindsFilesByContent) {
  const TemporaryDirectory directory;
  write(directory / "b-labels", kLabels);
  write_gzip(directory / "a-images.gz", kImages);
  write(directory / "README", "about the data");
  const IdxDataset dataset(directory.path(), {.mean = 0.5, .std = 0.25}, false);
  EXPECT_EQ(dataset.size(), 3);
  EXPECT_EQ(dataset.shape().input, (std::vector<std::int64_t>{1, 2, 2}));
  EXPECT_EQ(dataset.shape().classes, 3);
  std::vector<double> inputs(8);
  std::vector<std::int64_t> labels(2);
  dataset.read(std::vector<std::int64_t>{2, 0}, inputs.data(), labels.data());
  EXPECT_EQ(labels, (std::vector<std::int64_t>{1, 2}));
  EXPECT_DOUBLE_EQ(inputs[0], (10.0 / 255 - 0.5) / 0.25);
  EXPECT_DOUBLE_EQ(inputs[7], (1.0 - 0.5) / 0.25);
}

TEST(IdxDataset, TakesRowsOfNumbersAndRealTargets) {
  const TemporaryDirectory directory;
  write(directory / "x", idx(0x0D, {2, 1}, big_endian(std::bit_cast<std::uint32_t>(3.0f)) +
                                               big_endian(std::bit_cast<std::uint32_t>(5.0f))));
  write(directory / "y", idx(0x0D, {2}, big_endian(std::bit_cast<std::uint32_t>(0.5f)) + big_endian(0)));
  const IdxDataset dataset(directory.path(), {.mean = 1, .std = 2}, false);
  EXPECT_FALSE(dataset.shape().class_labels);
  EXPECT_EQ(dataset.shape().input, (std::vector<std::int64_t>{1}));
  std::vector<float> inputs(2);
  std::vector<float> targets(2);
  dataset.read(std::vector<std::int64_t>{0, 1}, inputs.data(), targets.data());
  EXPECT_EQ(inputs, (std::vector<float>{1, 2}));
  EXPECT_EQ(targets, (std::vector<float>{0.5f, 0}));
}

TEST(IdxDataset, ClassLabelsCanBeNumbersToRegressOn) {
  const TemporaryDirectory directory;
  write(directory / "images", kImages);
  write(directory / "labels", kLabels);
  const IdxDataset dataset(directory.path(), {}, true);
  EXPECT_FALSE(dataset.shape().class_labels);
  std::vector<float> inputs(4);
  float target = 0;
  dataset.read(std::vector<std::int64_t>{0}, inputs.data(), &target);
  EXPECT_EQ(target, 2);
}

TEST(IdxDataset, RefusesWhatIsNotOneArrayOfEach) {
  const TemporaryDirectory directory;
  EXPECT_ERROR(IdxDataset(directory.path(), {}, false), InputError, "no IDX file");
  write(directory / "images", kImages);
  EXPECT_ERROR(IdxDataset(directory.path(), {}, false), InputError, "images (3 × 2 × 2)", "targets");
  write(directory / "labels", idx(8, {4}, "abcd"));
  EXPECT_ERROR(IdxDataset(directory.path(), {}, false), InputError, "3 samples", "4 targets");
  write(directory / "labels", kLabels);
  write(directory / "more", kImages);
  EXPECT_ERROR(IdxDataset(directory.path(), {}, false), InputError, "images (3 × 2 × 2), more (3 × 2 × 2)");
  EXPECT_ERROR(IdxDataset(directory / "none", {}, false), InputError, "not a directory");
}

TEST(IdxDataset, RefusesEmptyDataAndNegativeLabels) {
  const TemporaryDirectory directory;
  write(directory / "images", idx(8, {0, 2, 2}, ""));
  write(directory / "labels", idx(8, {0}, ""));
  EXPECT_ERROR(IdxDataset(directory.path(), {}, false), InputError, "no samples");
  write(directory / "images", kImages);
  write(directory / "labels", idx(0x0C, {3}, big_endian(0) + big_endian(~0u) + big_endian(1)));
  EXPECT_ERROR(IdxDataset(directory.path(), {}, false), InputError, "sample 1 is -1");
}

TEST(IdxDataset, ChecksLabelsAgainstTheProgram) {
  const TemporaryDirectory directory;
  write(directory / "images", kImages);
  write(directory / "labels", kLabels);
  const IdxDataset dataset(directory.path(), {}, false);
  EXPECT_NO_THROW(dataset.require_classes(3));
  EXPECT_ERROR(dataset.require_classes(2), InputError, "sample 0 is 2", "2 classes");
}

TEST(IdxDataset, DigestTellsContentsApart) {
  const TemporaryDirectory directory;
  write(directory / "images", kImages);
  write(directory / "labels", kLabels);
  const std::string first = IdxDataset(directory.path(), {}, false).digest();
  EXPECT_EQ(first, IdxDataset(directory.path(), {.mean = 1}, false).digest());
  write(directory / "labels", idx(8, {3}, std::string("\x02\x01\x01", 3)));
  EXPECT_NE(first, IdxDataset(directory.path(), {}, false).digest());
}

}  // namespace
}  // namespace lockstep

#include <gtest/gtest.h>
#include <zlib.h>

#include <bit>
#include <fstream>

#include "common/Error.h"
#include "engine/data/ArrayDataset.h"
#include "engine/data/Formats.h"
#include "engine/data/IdxFile.h"
#include "engine/data/ProgramSamples.h"
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
  ASSERT_EQ(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())), static_cast<int>(bytes.size()));
  ASSERT_EQ(gzclose(file), Z_OK);
}

/// The bytes of a gzip file that holds `bytes`.
std::string gzip(const TemporaryDirectory& directory, const std::string& bytes) {
  write_gzip(directory / "gzip", bytes);
  std::ifstream file(directory / "gzip", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
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

/// A channel as a program of one input takes it.
ProgramSamples open_channel(const fs::path& directory, const ColumnOptions& options = {},
                            const std::vector<ProgramInput>& inputs = {{.name = "x"}}) {
  return ProgramSamples(Formats::builtin().open(directory).dataset, inputs, options);
}

template <typename Input, typename Target>
void read(const ProgramSamples& data, const std::vector<std::int64_t>& samples, std::vector<Input>& inputs,
          std::vector<Target>& targets) {
  data.read(samples, std::vector<std::byte*>{reinterpret_cast<std::byte*>(inputs.data()),
                                             reinterpret_cast<std::byte*>(targets.data())});
}

std::vector<double> numbers(const fs::path& path) {
  IdxArray array = read_idx(path);
  const ElementType type = array.header.element_type();
  swap_bytes(array.bytes, size_of(type));
  std::vector<double> numbers(static_cast<std::size_t>(array.header.elements()));
  Transform(type, ElementType::kDouble, false)
      .run(reinterpret_cast<const std::byte*>(array.bytes.data()), array.header.elements(),
           reinterpret_cast<std::byte*>(numbers.data()));
  return numbers;
}

TEST(IdxFile, ReadsEveryType) {
  const TemporaryDirectory directory;
  write(directory / "b", idx(0x08, {2}, "\x01\xff"));
  EXPECT_EQ(numbers(directory / "b"), (std::vector<double>{1, 255}));
  write(directory / "s", idx(0x09, {2}, "\x01\xff"));
  EXPECT_EQ(numbers(directory / "s"), (std::vector<double>{1, -1}));
  write(directory / "h", idx(0x0B, {2}, "\x01\x02\xff\xfe"));
  EXPECT_EQ(numbers(directory / "h"), (std::vector<double>{258, -2}));
  write(directory / "f", idx(0x0D, {2}, big_endian(std::bit_cast<std::uint32_t>(1.5f)) + big_endian(0xC0000000)));
  EXPECT_EQ(numbers(directory / "f"), (std::vector<double>{1.5, -2}));
  write(directory / "d", idx(0x0E, {1}, big_endian(0x3FF80000) + big_endian(0)));
  EXPECT_EQ(numbers(directory / "d"), (std::vector<double>{1.5}));
  write(directory / "i", idx(0x0C, {2}, big_endian(70000) + big_endian(0xFFFFFFFF)));
  EXPECT_EQ(numbers(directory / "i"), (std::vector<double>{70000, -1}));
}

TEST(IdxFile, RefusesEveryTruncationPlainAndGzip) {
  const TemporaryDirectory directory;
  for (std::size_t size = 4; size < kImages.size(); ++size) {
    write(directory / "cut", kImages.substr(0, size));
    EXPECT_ERROR(read_idx(directory / "cut"), InputError, "cut", "truncated at byte " + std::to_string(size));
  }
  const std::string zipped = gzip(directory, kImages);
  for (std::size_t size = 0; size < zipped.size(); ++size) {
    write(directory / "cut", zipped.substr(0, size));
    EXPECT_THROW(read_idx(directory / "cut"), InputError) << size;
  }
  write_gzip(directory / "cut inside", kImages.substr(0, 20));
  EXPECT_ERROR(read_idx(directory / "cut inside"), InputError, "cut inside is truncated at byte 20", "3 × 2 × 2", "28");
}

TEST(IdxFile, RefusesDamagedGzip) {
  const TemporaryDirectory directory;
  std::string zipped = gzip(directory, kImages);
  zipped.at(zipped.size() - 6) ^= 1;  // in the checksum
  write(directory / "damaged", zipped);
  EXPECT_ERROR(read_idx(directory / "damaged"), InputError, "damaged is not an intact gzip file");
}

TEST(IdxFile, AHeaderThatLiesCannotMakeUsAllocate) {
  const TemporaryDirectory directory;
  const std::string big = idx(8, {1u << 31, 1u << 14}, "only a few bytes");
  write(directory / "plain", big);
  EXPECT_ERROR(read_idx(directory / "plain"), InputError, "truncated at byte 28", "35184372088844");
  write_gzip(directory / "zipped", big);
  EXPECT_ERROR(read_idx(directory / "zipped"), InputError, "truncated at byte 28", "35184372088844");
  write(directory / "huge", idx(14, {~0u, ~0u, ~0u, ~0u}, ""));
  EXPECT_ERROR(read_idx(directory / "huge"), InputError, "impossible size at byte 8");
  write(directory / "huge", idx(14, {~0u, ~0u, ~0u, 0}, ""));
  EXPECT_ERROR(read_idx(directory / "huge"), InputError, "impossible size at byte 8");
}

TEST(IdxFile, RefusesBytesAfterTheEnd) {
  const TemporaryDirectory directory;
  write(directory / "more", kImages + "x");
  EXPECT_ERROR(read_idx(directory / "more"), InputError, "more bytes", "end at byte 28");
  write_gzip(directory / "more", kImages + "x");
  EXPECT_ERROR(read_idx(directory / "more"), InputError, "more bytes", "end at byte 28");
}

// Bytes after a gzip stream: more members are more content, and anything else is no gzip file.
TEST(IdxFile, ReadsEveryGzipMemberAndRefusesWhatFollowsThem) {
  const TemporaryDirectory directory;
  const std::string zipped = gzip(directory, kImages);
  const std::string nothing = gzip(directory, "");
  write(directory / "parts",
        gzip(directory, kImages.substr(0, 9)) + nothing + gzip(directory, kImages.substr(9)) + nothing);
  EXPECT_EQ(read_idx(directory / "parts").bytes, std::vector<std::uint8_t>(kImages.begin() + 16, kImages.end()));
  for (const std::string& tail : {std::string("x"), std::string("garbage after the end"), std::string(512, '\0'),
                                  kImages, std::string(3 << 20, 'x')}) {
    write(directory / "tail", zipped + tail);
    EXPECT_ERROR(read_idx(directory / "tail"), InputError, "tail is not an intact gzip file",
                 "after 28 bytes of content, bytes follow that are no gzip");
  }
  for (std::size_t size = 1; size < nothing.size(); ++size) {
    write(directory / "tail", zipped + nothing.substr(0, size));
    EXPECT_ERROR(read_idx(directory / "tail"), InputError, "after 28 bytes of content, it is truncated");
  }
  write(directory / "tail", zipped + zipped);
  EXPECT_ERROR(read_idx(directory / "tail"), InputError, "more bytes", "end at byte 28");
}

// Content and files of more than one buffer, at sizes around its end.
TEST(IdxFile, ReadsFilesLargerThanItsBuffer) {
  const TemporaryDirectory directory;
  for (const std::uint32_t size : {(1U << 20) - 8, (1U << 20) - 7, 3U << 20}) {
    std::string elements(size, '\0');
    for (std::size_t i = 0; i < size; ++i) elements[i] = static_cast<char>((i * 2654435761U) >> 13);
    write(directory / "plain", idx(8, {size}, elements));
    write_gzip(directory / "zipped", idx(8, {size}, elements));
    const std::vector<std::uint8_t> expected(elements.begin(), elements.end());
    EXPECT_EQ(read_idx(directory / "plain").bytes, expected);
    EXPECT_EQ(read_idx(directory / "zipped").bytes, expected);
  }
}

TEST(IdxFile, RefusesOtherFiles) {
  const TemporaryDirectory directory;
  const std::vector<std::string> others = {"hello, world",      "", std::string("\0\0\x08", 3),
                                           idx(0x0A, {1}, "x"),  // no such type
                                           idx(0x08, {}, "x"),   // no dimensions
                                           "\x01" + kLabels};
  for (const std::string& other : others) {
    write(directory / "other", other);
    EXPECT_FALSE(read_idx_header(directory / "other").has_value());
    EXPECT_ERROR(read_idx(directory / "other"), InputError, "other", "magic number");
  }
  EXPECT_ERROR(read_idx(directory / "none"), InputError, "none", "No such file");
  EXPECT_ERROR(read_idx(directory.path()), InputError, directory.path().string(), "directory");
}

using Sizes = std::vector<std::int64_t>;

TEST(IdxFormat, NormalizesImagesAndFindsFilesByContent) {
  const TemporaryDirectory directory;
  write(directory / "b-labels", kLabels);
  write_gzip(directory / "a-images.gz", kImages);
  write(directory / "README", "about the data");
  const ProgramSamples data =
      open_channel(directory.path(), {.real = ElementType::kDouble, .normalization = {.mean = {0.5}, .std = {0.25}}});
  EXPECT_EQ(data.size(), 3);
  EXPECT_EQ(data.input(0).sizes, (Sizes{1, 2, 2}));
  EXPECT_EQ(data.classes(), 3);
  std::vector<double> inputs(8);
  std::vector<std::int64_t> labels(2);
  read(data, {2, 0}, inputs, labels);
  EXPECT_EQ(labels, (std::vector<std::int64_t>{1, 2}));
  EXPECT_DOUBLE_EQ(inputs[0], (10.0 / 255 - 0.5) / 0.25);
  EXPECT_DOUBLE_EQ(inputs[7], (1.0 - 0.5) / 0.25);
}

TEST(IdxFormat, PicturesHaveADimensionForTheirChannelWhereTheProgramHasOne) {
  const TemporaryDirectory directory;
  write(directory / "labels", kLabels);
  write_gzip(directory / "images.gz", kImages);
  for (const Sizes& sizes : {Sizes{2, 2}, Sizes{2, 2, 1}, Sizes{1, 2, 2}}) {
    EXPECT_EQ(open_channel(directory.path(), {}, {{.name = "x", .sizes = sizes}}).input(0).sizes, sizes);
  }
  EXPECT_EQ(open_channel(directory.path(), {}, {{.name = "x", .sizes = Sizes{4}}}).input(0).sizes, (Sizes{1, 2, 2}));
}

TEST(IdxFormat, TakesRowsOfNumbersAndRealTargets) {
  const TemporaryDirectory directory;
  write(directory / "x",
        idx(0x0D, {2, 1},
            big_endian(std::bit_cast<std::uint32_t>(3.0f)) + big_endian(std::bit_cast<std::uint32_t>(5.0f))));
  write(directory / "y", idx(0x0D, {2}, big_endian(std::bit_cast<std::uint32_t>(0.5f)) + big_endian(0)));
  const ProgramSamples data = open_channel(directory.path(), {.normalization = {.mean = {1}, .std = {2}}});
  EXPECT_FALSE(data.class_labels());
  EXPECT_EQ(data.input(0).sizes, (Sizes{1}));
  std::vector<float> inputs(2);
  std::vector<float> targets(2);
  read(data, {0, 1}, inputs, targets);
  EXPECT_EQ(inputs, (std::vector<float>{1, 2}));
  EXPECT_EQ(targets, (std::vector<float>{0.5f, 0}));
}

TEST(IdxFormat, KeepsFourDimensionsAndRowsOfTargets) {
  const TemporaryDirectory directory;
  write(directory / "x", idx(0x08, {2, 1, 2, 3}, std::string(12, '\xff')));
  write(directory / "y", idx(0x0B, {2, 3}, std::string("\0\1\0\2\0\3\0\4\0\5\0\6", 12)));
  const ProgramSamples numbers = open_channel(directory.path(), {.real_targets = true});
  EXPECT_EQ(numbers.input(0).sizes, (Sizes{1, 2, 3}));
  EXPECT_EQ(numbers.target().sizes, (Sizes{3}));
  EXPECT_FALSE(numbers.class_labels());
  std::vector<float> inputs(12);
  std::vector<float> targets(6);
  read(numbers, {1, 0}, inputs, targets);
  EXPECT_EQ(inputs, std::vector<float>(12, 1.0f));
  EXPECT_EQ(targets, (std::vector<float>{4, 5, 6, 1, 2, 3}));

  ProgramSamples rows_of_labels = open_channel(directory.path());
  EXPECT_EQ(rows_of_labels.target().sizes, (Sizes{3}));
  EXPECT_EQ(rows_of_labels.classes(), 7);
  std::vector<std::int64_t> labels(6);
  read(rows_of_labels, {1, 0}, inputs, labels);
  EXPECT_EQ(labels, (std::vector<std::int64_t>{4, 5, 6, 1, 2, 3}));
  EXPECT_ERROR(rows_of_labels.require_classes(5, "the program has 5 classes"), InputError, "the label of sample 1 is 5",
               "5 classes");
}

// Inputs and targets of the same number of dimensions, or targets of more: their names tell them apart.
TEST(IdxFormat, AFilesNameSaysThatItHoldsTheTargets) {
  const std::string pairs = idx(
      0x0D, {2, 2},
      big_endian(0x3F800000) + big_endian(0x40000000) + big_endian(0x40400000) + big_endian(0x40800000));  // 1 2, 3 4
  const std::string triples = idx(0x08, {2, 3}, "abcdef");
  const std::string maps = idx(0x08, {2, 2, 2}, "ABCDEFGH");
  for (const auto& [inputs, targets] :
       {std::pair("inputs", "targets"), std::pair("x", "train-Labels-idx2"), std::pair("b.idx", "a.targets.idx.gz")}) {
    for (const auto& [content, sizes] : {std::pair(triples, Sizes{3}), {maps, {2, 2}}}) {
      const TemporaryDirectory directory;
      write(directory / inputs, pairs);
      write(directory / targets, content);
      const ProgramSamples data = open_channel(directory.path(), {.real_targets = true});
      EXPECT_EQ(data.input(0).sizes, Sizes{2});
      EXPECT_EQ(data.target().sizes, sizes);
      std::vector<float> x(2);
      std::vector<float> y(4);
      read(data, {1}, x, y);
      EXPECT_EQ(x, (std::vector<float>{3, 4}));
      EXPECT_EQ(y[0],
                static_cast<float>(content[content.size() - static_cast<std::size_t>(sizes.size() == 1 ? 3 : 4)]));
    }
  }
  // Labels of every pixel, in integers.
  const TemporaryDirectory directory;
  write(directory / "images", kImages);
  write(directory / "labels", idx(0x0C, {3, 2, 2}, std::string(47, '\0') + '\x07'));
  EXPECT_EQ(open_channel(directory.path()).target().sizes, (Sizes{2, 2}));
  EXPECT_EQ(open_channel(directory.path()).classes(), 8);
}

TEST(IdxFormat, FloatInputsAreDoublesRounded) {
  const TemporaryDirectory directory;
  write(directory / "images", idx(8, {256, 1, 1}, [] {
          std::string all;
          for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
          return all;
        }()));
  write(directory / "labels", idx(8, {256}, std::string(256, '\0')));
  const ProgramSamples data = open_channel(directory.path(), {.normalization = {.mean = {0.2860}, .std = {0.3530}}});
  for (std::int64_t sample = 0; sample < 256; ++sample) {
    std::vector<float> input(1);
    std::vector<std::int64_t> label{-1};
    read(data, {sample}, input, label);
    EXPECT_EQ(input[0], static_cast<float>((static_cast<double>(sample) / 255 - 0.2860) / 0.3530));
    EXPECT_EQ(label[0], 0);
  }
}

TEST(IdxFormat, ClassLabelsCanBeNumbersToRegressOn) {
  const TemporaryDirectory directory;
  write(directory / "images", kImages);
  write(directory / "labels", kLabels);
  const ProgramSamples data = open_channel(directory.path(), {.real_targets = true});
  EXPECT_FALSE(data.class_labels());
  std::vector<float> inputs(4);
  std::vector<float> target(1);
  read(data, {0}, inputs, target);
  EXPECT_EQ(target[0], 2);
}

TEST(IdxFormat, RefusesWhatIsNotOneArrayOfEach) {
  const TemporaryDirectory directory;
  const auto open = [&] { open_channel(directory.path()); };
  EXPECT_ERROR(open(), InputError, directory.path().string(), "holds no data");
  write(directory / "images", kImages);
  write(directory / "checksums", "none");
  EXPECT_ERROR(open(), InputError, "images (3 × 2 × 2)", "targets", "other files: checksums");
  write(directory / "labels", idx(8, {4}, "abcd"));
  EXPECT_ERROR(open(), InputError, "images (3 × 2 × 2) has 3 samples", "labels (4) 4 targets");
  fs::rename(directory / "labels", directory / "masks");
  write(directory / "masks", kImages);
  EXPECT_ERROR(open(), InputError, "fewer dimensions or \"targets\" or \"labels\" in its name",
               "images (3 × 2 × 2), masks (3 × 2 × 2)");
  fs::remove(directory / "masks");
  write(directory / "labels", kLabels);
  write(directory / "more", kLabels);
  EXPECT_ERROR(open(), InputError, "images (3 × 2 × 2), labels (3), more (3)");
  fs::rename(directory / "more", directory / ".hidden");
  EXPECT_NO_THROW(open());
  EXPECT_ERROR(open_channel(directory / "none"), InputError, "none", "No such file or directory");
}

// Links that lead to themselves, and to nothing: the file is named, not the channel alone.
TEST(IdxFormat, NamesLinksThatLeadNowhere) {
  const TemporaryDirectory directory;
  const auto open = [&] { open_channel(directory.path()); };
  write(directory / "images", kImages);
  fs::create_symlink("gone", directory / "labels");
  EXPECT_ERROR(open(), InputError, "other files: labels (a link whose target is not there)");
  fs::create_symlink("loop", directory / "loop");
  EXPECT_ERROR(open(), InputError, (directory / "loop").string(), "Too many levels of symbolic links");
}

TEST(IdxFormat, RefusesEmptyDataAndNegativeLabels) {
  const TemporaryDirectory directory;
  const auto open = [&] { open_channel(directory.path()); };
  write(directory / "images", idx(8, {0, 2, 2}, ""));
  write(directory / "labels", idx(8, {0}, ""));
  EXPECT_ERROR(open(), InputError, "no data", "images (0 × 2 × 2)");
  write(directory / "images", idx(8, {3, 2, 0}, ""));
  write(directory / "labels", kLabels);
  EXPECT_ERROR(open(), InputError, "no data", "images (3 × 2 × 0)");
  write(directory / "images", kImages);
  write(directory / "labels", idx(0x0C, {3}, big_endian(0) + big_endian(~0u) + big_endian(1)));
  EXPECT_ERROR(open(), InputError, "labels: the label of sample 1 is -1");
}

TEST(IdxFormat, ChecksLabelsAgainstTheProgram) {
  const TemporaryDirectory directory;
  write(directory / "images", kImages);
  write(directory / "labels", kLabels);
  ProgramSamples data = open_channel(directory.path());
  EXPECT_NO_THROW(data.require_classes(3, ""));
  EXPECT_ERROR(data.require_classes(2, "the program has 2 classes"), InputError,
               "labels: the label of sample 0 is 2; the program has 2 classes, so labels must be 0 … 1");
}

TEST(IdxFormat, DigestTellsContentsApart) {
  const TemporaryDirectory directory;
  write(directory / "images", kImages);
  write(directory / "labels", kLabels);
  const std::string first = open_channel(directory.path()).digest();
  EXPECT_EQ(first, "4cbdd56e871d4fbb");  // as ever: checkpoints hold it
  write_gzip(directory / "images", kImages);
  EXPECT_EQ(first, open_channel(directory.path(), {.normalization = {.mean = {1}}}).digest());
  write(directory / "images", idx(8, {3, 1, 4}, kImages.substr(16)));
  EXPECT_NE(first, open_channel(directory.path()).digest());
  write(directory / "images", kImages);
  write(directory / "labels", idx(8, {3}, std::string("\x02\x01\x01", 3)));
  EXPECT_NE(first, open_channel(directory.path()).digest());
}

}  // namespace
}  // namespace lockstep

#include "engine/data/Formats.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zlib.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "tests/support/ExpectError.h"
#include "tests/support/PeakMemory.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestArrays.h"
#include "tests/support/TestZip.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

using Sizes = std::vector<std::int64_t>;

void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::shared_ptr<const Dataset> open_channel(const TemporaryDirectory& directory) {
  return Formats::builtin().open(directory.path()).dataset;
}

template <typename Number>
std::vector<Number> column(const Dataset& dataset, const std::string& name, const std::vector<std::int64_t>& samples) {
  const std::size_t field = dataset.spec().find(name).value();
  const auto numbers = static_cast<std::size_t>(dataset.spec().fields[field].numbers());
  std::vector<Number> values(samples.size() * numbers);
  std::vector<std::byte*> fields(dataset.spec().fields.size());
  fields[field] = reinterpret_cast<std::byte*>(values.data());
  dataset.read(samples, fields);
  return values;
}

const std::vector<float> kX = {1, 2, 3, 4, 5, 6};
const std::vector<std::int64_t> kY = {7, 8, 9};

void expect_x_and_y(const Dataset& dataset) {
  EXPECT_EQ(dataset.size(), 3);
  ASSERT_EQ(dataset.spec().fields.size(), 2);
  EXPECT_EQ(dataset.spec().fields[0].sizes, Sizes{2});
  EXPECT_EQ(dataset.spec().fields[0].type, ElementType::kFloat);
  EXPECT_EQ(dataset.spec().fields[1].sizes, Sizes{});
  EXPECT_EQ(column<float>(dataset, "x", {2, 0}), (std::vector<float>{5, 6, 1, 2}));
  EXPECT_EQ(column<std::int64_t>(dataset, "y", {1}), (std::vector<std::int64_t>{8}));
}

TEST(Formats, FilesOfNpyAreColumnsByName) {
  const TemporaryDirectory directory;
  write(directory / "x.npy", npy("<f4", "(3, 2)", bytes_of(kX)));
  write(directory / "y.npy", npy("<i8", "(3,)", bytes_of(kY)));
  write(directory / "readme.txt", "of no format");
  expect_x_and_y(*open_channel(directory));
}

TEST(Formats, MembersOfNpzAreColumnsByName) {
  for (const bool deflated : {false, true}) {
    const TemporaryDirectory directory;
    write(directory / "data.npz", zip_file({{"x.npy", npy("<f4", "(3, 2)", bytes_of(kX)), deflated},
                                            {"y.npy", npy("<i8", "(3,)", bytes_of(kY)), deflated}}));
    expect_x_and_y(*open_channel(directory));
  }
  const TemporaryDirectory parts;
  write(parts / "a.npz", zip_file({{"x.npy", npy("<f4", "(3, 2)", bytes_of(kX)), true}}));
  write(parts / "b.npz", zip_file({{"y.npy", npy("<i8", "(3,)", bytes_of(kY)), true}}));
  expect_x_and_y(*open_channel(parts));
  write(parts / "b.npz", zip_file({{"x.npy", npy("<f4", "(3, 2)", bytes_of(kX)), true}}));
  EXPECT_ERROR(open_channel(parts), InputError, "two arrays of the name \"x\"", "a.npz (x.npy)", "b.npz (x.npy)");
  write(parts / "b.npz", zip_file({{"notes.txt", "hello", false}}));
  EXPECT_ERROR(open_channel(parts), InputError, "b.npz", "\"notes.txt\" is no .npy file");
  write(parts / "b.npz", "PK and nothing more");
  EXPECT_ERROR(open_channel(parts), InputError, "b.npz", "damaged");
}

// As numpy.load names them: two folders' arrays do not clash.
TEST(Formats, MembersOfNpzKeepTheirFolders) {
  const TemporaryDirectory directory;
  write(directory / "data.npz", zip_file({{"a/x.npy", npy("<f4", "(3, 2)", bytes_of(kX)), false},
                                          {"a/y.npy", npy("<i8", "(3,)", bytes_of(kY)), false}}));
  const auto one = open_channel(directory);
  EXPECT_TRUE(one->spec().find("a/x") && one->spec().find("a/y"));
  write(directory / "data.npz", zip_file({{"a/x.npy", npy("<i8", "(3,)", bytes_of(kY)), false},
                                          {"b/x.npy", npy("<i8", "(3,)", bytes_of(kY)), false}}));
  EXPECT_EQ(open_channel(directory)->spec().fields.size(), 2);
}

TEST(Formats, AChangedByteOfNpzIsNoticed) {
  const TemporaryDirectory directory;
  std::string bytes = zip_file({{"y.npy", npy("<i8", "(3,)", bytes_of(kY)), false}});
  bytes[bytes.find(bytes_of(kY)) + 8] ^= 1;
  write(directory / "data.npz", bytes);
  EXPECT_ERROR(open_channel(directory), InputError, "data.npz (y.npy) is damaged", "checksum");
}

// Zeros are packed a thousandfold: an archive of 64 kB can claim 64 MB. Memory is for what is there, and once.
TEST(Formats, NpzTakesTheMemoryOfItsArrays) {
  constexpr std::uint64_t kSize = 64 << 20;
  const TemporaryDirectory directory;
  write(directory / "data.npz", zip_file({{"x.npy", std::string(kSize, '\0'), true}}));
  EXPECT_LT(peak_memory([&] {
              EXPECT_ERROR(open_channel(directory), InputError, "data.npz (x.npy) does not begin with the magic");
            }),
            kSize / 4);
  write(directory / "data.npz",
        zip_file({{"x.npy", npy("|u1", "(" + std::to_string(kSize) + ",)", std::string(kSize, '\0')), true}}));
  EXPECT_LT(peak_memory([&] { open_channel(directory); }), kSize * 5 / 4);
}

TEST(Formats, TensorsOfSafetensorsAreColumnsByName) {
  const TemporaryDirectory directory;
  write(directory / "data.safetensors", safetensors(R"({"x":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]},)"
                                                    R"("y":{"dtype":"I64","shape":[3],"data_offsets":[24,48]}})",
                                                    bytes_of(kX) + bytes_of(kY)));
  expect_x_and_y(*open_channel(directory));
  write(directory / "more.safetensors",
        safetensors(R"({"m":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}})", "abcd"));
  EXPECT_ERROR(open_channel(directory), InputError, "as many samples in each array", "(m) 4", "has 3");
  std::filesystem::remove(directory / "data.safetensors");
  write(directory / "more.safetensors", safetensors("{}", ""));
  EXPECT_ERROR(open_channel(directory), InputError, directory.path().string() + " holds no array");
}

TEST(Formats, SafetensorsOfUnsignedIntegers) {
  const TemporaryDirectory directory;
  write(directory / "data.safetensors", safetensors(R"({"a":{"dtype":"U16","shape":[2],"data_offsets":[0,4]},)"
                                                    R"("b":{"dtype":"U32","shape":[2],"data_offsets":[4,12]},)"
                                                    R"("c":{"dtype":"U64","shape":[2],"data_offsets":[12,28]}})",
                                                    bytes_of(std::vector<std::uint16_t>{65535, 2}) +
                                                        bytes_of(std::vector<std::uint32_t>{4'000'000'000, 2}) +
                                                        bytes_of(std::vector<std::uint64_t>{~std::uint64_t{0}, 2})));
  const auto dataset = open_channel(directory);
  EXPECT_EQ(column<std::uint16_t>(*dataset, "a", {0}).at(0), 65535);
  EXPECT_EQ(column<std::uint32_t>(*dataset, "b", {0}).at(0), 4'000'000'000);
  EXPECT_EQ(column<std::uint64_t>(*dataset, "c", {0}).at(0), ~std::uint64_t{0});
}

// The reference reader refuses these, too.
TEST(Formats, SafetensorsHaveNeitherGapsNorMoreBytes) {
  const TemporaryDirectory directory;
  const auto refused = [&](const std::string& header, const std::string& data, const std::string& text) {
    write(directory / "data.safetensors", safetensors(header, data));
    EXPECT_ERROR(open_channel(directory), InputError, "data.safetensors", text);
  };
  refused(R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "abc", "end at byte 2 of its 3");
  refused(R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", "abc", "gap at byte 0");
  refused(
      R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
      "abc", "overlap");
  refused(R"({"x":{"dtype":"U8","shape":[3],"data_offsets":[0,2]}})", "ab", "do not fit");
  refused(R"({"x":{"dtype":"F8","shape":[2],"data_offsets":[0,2]}})", "ab", "\"F8\" is not supported");
  refused(R"({"x":{"dtype":"U8","shape":[4611686018427387904,4],"data_offsets":[0,2]}})", "ab", "impossible shape");
  refused(R"({"x":1})", "ab", "not what the format says");
}

TEST(Formats, NpyOfEveryType) {
  const auto read = [](const std::string& descr, const std::string& bytes) {
    const TemporaryDirectory directory;
    write(directory / "x.npy", npy(descr, "(2,)", bytes));
    return open_channel(directory);
  };
  EXPECT_EQ(column<std::uint8_t>(*read("|u1", "\x01\xff"), "x", {0, 1}), (std::vector<std::uint8_t>{1, 255}));
  EXPECT_EQ(column<std::int8_t>(*read("|i1", "\x01\xff"), "x", {0, 1}), (std::vector<std::int8_t>{1, -1}));
  EXPECT_EQ(column<std::uint8_t>(*read("|b1", std::string("\0\x05", 2)), "x", {0, 1}),
            (std::vector<std::uint8_t>{0, 1}));
  const auto both = [&]<typename Number>(const std::string& code, const std::vector<Number>& numbers) {
    std::string swapped;
    for (const Number number : numbers) {
      const std::string one = bytes_of(std::vector{number});
      swapped.append(one.rbegin(), one.rend());
    }
    EXPECT_EQ(column<Number>(*read("<" + code, bytes_of(numbers)), "x", {0, 1}), numbers);
    EXPECT_EQ(column<Number>(*read(">" + code, swapped), "x", {0, 1}), numbers);
  };
  both("i2", std::vector<std::int16_t>{258, -2});
  both("i4", std::vector<std::int32_t>{70000, -2});
  both("i8", std::vector<std::int64_t>{std::int64_t{1} << 40, -2});
  both("u2", std::vector<std::uint16_t>{65535, 2});
  both("u4", std::vector<std::uint32_t>{4'000'000'000, 2});
  both("u8", std::vector<std::uint64_t>{~std::uint64_t{0}, 2});
  both("f4", std::vector<float>{1.5F, -2});
  both("f8", std::vector<double>{1e300, -2});
  both("f2", std::vector<std::uint16_t>{0x3C00, 0xC000});
  for (const char* unknown : {"<f16", "<c8", "<U3", "|O", "<M8[ns]", "f4", ""}) {
    EXPECT_ERROR(read(unknown, "12345678"), InputError, "x.npy", "elements are of type", "convert it to one of b1, i1");
  }
}

TEST(Formats, NpyRefusesWhatItIsNot) {
  const TemporaryDirectory directory;
  const auto refused = [&](const std::string& bytes, const std::string& text) {
    write(directory / "x.npy", bytes);
    EXPECT_ERROR(open_channel(directory), InputError, (directory / "x.npy").string(), text);
  };
  const std::string good = npy("<f4", "(3, 2)", bytes_of(kX));
  for (std::size_t size = 1; size < good.size(); ++size)
    refused(good.substr(0, size), size < 6 ? "magic" : "truncated");
  refused(good + "x", "more bytes than it should: its header says 3 × 2 elements of float32, which end at byte " +
                          std::to_string(good.size()));
  refused(npy("<f4", "()", "abcd"), "single number");
  refused(npy("<f4", "(3, 2)", bytes_of(kX), "True"), "numpy.ascontiguousarray");
  refused(npy("<f4", "(3000000000, 3000000000)", ""), "impossible size: 3000000000 × 3000000000");
  refused(npy("<f4", "(3000000000, 0, 3000000000)", ""), "impossible size");
  refused(npy("<f4", "(30000000000, 3)", "abc"), "truncated");
  refused(npy("<f4", "(-1,)", ""), "no size");
  refused(npy("<f4", "(99999999999999999999,)", ""), "no size");
  refused(npy_of_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", ""), "records");
  refused(npy_of_header("{'descr': '<f4', 'shape': (1,), }", "abcd"), "lacks descr, fortran_order or shape");
  refused(npy_of_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'shape': (1,), }", "abcd"),
          "\"shape\"");
  refused(npy_of_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } + {}", "abcd"), "after its end");
  refused(npy_of_header("{'descr", ""), "does not end");
  refused(npy_of_header("os.system('true')", ""), "{ is missing");
  std::string version = good;
  version[6] = 4;
  refused(version, "version 4");
  version[6] = 2;  // a length of 32 bits
  refused(version, "claims a header of");
  write(directory / "x.npy",
        npy("<f4", "(3,)", bytes_of(std::vector<float>{1, 2, 3}), "True"));  // the same in both orders
  EXPECT_EQ(column<float>(*open_channel(directory), "x", {2}), std::vector<float>{3});
}

TEST(Formats, CountsMustBeTheSame) {
  const TemporaryDirectory directory;
  write(directory / "x.npy", npy("<f4", "(3, 2)", bytes_of(kX)));
  write(directory / "y.npy", npy("<i8", "(2,)", bytes_of(std::vector<std::int64_t>{1, 2})));
  EXPECT_ERROR(open_channel(directory), InputError, "as many samples in each array", "x.npy has 3", "y.npy 2");
  write(directory / "y.npy", npy("<i8", "(3, 0)", ""));
  EXPECT_ERROR(open_channel(directory), InputError, "no data", "y.npy has 3 samples of [0]");
}

TEST(Formats, SayWhatAChannelMayHold) {
  const TemporaryDirectory directory;
  write(directory / "table.text", "1,2");
  EXPECT_ERROR(open_channel(directory), InputError, "holds no data, but other files: table.text. It must",
               "docs/data.md describes: CIFAR, CSV, ", "IDX, npy, ");
  EXPECT_ERROR(open_channel(TemporaryDirectory()), InputError, "holds no data: it is empty. It must");
  write(directory / "x.npy", "");
  write(directory / "_SUCCESS", "");
  EXPECT_ERROR(open_channel(directory), InputError, "1 hidden file and other files: table.text, x.npy (empty)");
  for (int i = 0; i < 20; ++i) write(directory / ("more" + std::to_string(i)), "1,2");
  EXPECT_ERROR(open_channel(directory), InputError, "more16, more17, and 12 more");
}

// In any order of the two, and wherever they lie.
TEST(Formats, OneChannelHoldsOneFormat) {
  const TemporaryDirectory directory;
  write(directory / "x.npy", npy("<f4", "(3, 2)", bytes_of(kX)));
  fs::create_directory(directory / "more");
  write(directory / "more/a.npz", zip_file({{"y.npy", npy("<i8", "(3,)", bytes_of(kY)), true}}));
  write(directory / "more/b.npz", zip_file({{"z.npy", npy("<i8", "(3,)", bytes_of(kY)), true}}));
  EXPECT_ERROR(open_channel(directory), InputError, directory.path().string(), "must hold files of one format",
               "1 of npy (x.npy) and 2 of npz (more/a.npz, …)");
}

TEST(Formats, FilesLieInDirectoriesToo) {
  const TemporaryDirectory directory;
  fs::create_directories(directory / "a/b");
  fs::create_directories(directory / "_temporary");
  fs::create_directories(directory / "a/.git");
  write(directory / "a/b/x.npy", npy("<f4", "(3, 2)", bytes_of(kX)));
  write(directory / "a/y.npy", npy("<i8", "(3,)", bytes_of(kY)));
  write(directory / "a/notes.txt", "about the data");
  write(directory / "a/empty.npy", "");
  write(directory / "a/_SUCCESS", "");
  write(directory / "_temporary/y.npy", "no array");
  fs::create_directory_symlink(directory.path(), directory / "a/b/again");
  ASSERT_EQ(::mkfifo((directory / "a/pipe.npy").c_str(), 0600), 0);
  const OpenedChannel channel = Formats::builtin().open(directory.path());
  expect_x_and_y(*channel.dataset);
  EXPECT_EQ(channel.format, "npy");
  EXPECT_EQ(channel.files, 2);
  EXPECT_EQ(channel.passed_over.names,
            (std::vector<std::string>{"a/empty.npy (empty)", "a/notes.txt", "a/pipe.npy (no file)"}));
  EXPECT_EQ(channel.passed_over.hidden, 3);
  write(directory / "y.npy", npy("<i8", "(3,)", bytes_of(kY)));
  EXPECT_ERROR(open_channel(directory), InputError, "two arrays of the name \"y\"", "a/y.npy");
}

// A link of /proc may lead to the root of the machine, and is gone a moment later.
TEST(Formats, TheKernelsStateIsNoData) {
  for (const std::string place : {"/proc", "/proc/self", "/sys"}) {
    EXPECT_ERROR(Formats::builtin().open(place), InputError, "the channel directory " + place + " must hold data files",
                 "the kernel's state");
  }
  const TemporaryDirectory directory;
  write(directory / "x.npy", npy("<f4", "(3, 2)", bytes_of(kX)));
  write(directory / "y.npy", npy("<i8", "(3,)", bytes_of(kY)));
  fs::create_directory_symlink("/proc/self", directory / "process");
  const OpenedChannel channel = Formats::builtin().open(directory.path());
  expect_x_and_y(*channel.dataset);
  EXPECT_EQ(channel.passed_over.text(), "other files: process (the kernel's state)");
}

// Each file is looked at once, packed or not, whatever the formats want to know.
TEST(Formats, SeeAFilesNameItsFirstBytesAndTheChannelsOptions) {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "part");
  const gzFile packed = gzopen((directory / "part/data.gz").c_str(), "wb");
  ASSERT_EQ(gzwrite(packed, "records", 7), 7);
  ASSERT_EQ(gzclose(packed), Z_OK);
  write(directory / "long", std::string(FileHead::kBytes + 1, 'r'));
  Formats formats;
  std::map<std::string, std::string> seen;
  formats.add({.name = "records",
               .recognises =
                   [&](const FileHead& head) {
                     seen[head.name] = std::string(head.bytes.begin(), head.bytes.end());
                     return head.starts_with("rec") && head.options.content_type == "application/x-records";
                   },
               .open = [](const ChannelFiles& channel) -> std::unique_ptr<Dataset> {
                 EXPECT_EQ(channel.options.content_type, "application/x-records");
                 EXPECT_EQ(channel.files.size(), 1);
                 return nullptr;
               }});
  EXPECT_EQ(formats.open(directory.path(), {.content_type = "application/x-records"}).passed_over.names,
            std::vector<std::string>{"long"});
  EXPECT_EQ(seen, (std::map<std::string, std::string>{{"part/data", "records"},
                                                      {"long", std::string(FileHead::kBytes, 'r')}}));
  EXPECT_ERROR(formats.open(directory.path()), InputError, "files of one of these formats", "describes: records");
}

}  // namespace
}  // namespace lockstep

// Files of tokens: how windows are cut out of them, and what a broken file is told.
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/data/Formats.h"
#include "engine/data/ProgramSamples.h"
#include "tests/support/ExpectError.h"
#include "tests/support/PeakMemory.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestArrays.h"
#include "tests/support/TestReads.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

using Tokens = std::vector<std::int64_t>;

template <typename Token>
std::vector<Token> counted(std::size_t count, Token first = 0) {
  std::vector<Token> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

class TokenFiles : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
  }
  std::shared_ptr<const Dataset> open(std::int64_t window) {
    return Formats::builtin().open(directory_.path(), {.window = window}).dataset;
  }
  /// Whether the tokens 0, 1, 2 … of a file are cut right.
  static void expect_counted(const Dataset& data) {
    EXPECT_EQ(data.size(), 3);
    EXPECT_EQ(read_field<std::int64_t>(data, "tokens", {2, 0}), (Tokens{6, 7, 8, 0, 1, 2}));
    EXPECT_EQ(read_field<std::int64_t>(data, "targets", {2, 0}), (Tokens{7, 8, 9, 1, 2, 3}));
  }

  TemporaryDirectory directory_;
};

TEST_F(TokenFiles, OfLlmcAreCutIntoWindows) {
  write("a.bin", llmc_file(20240520, 1, counted<std::uint16_t>(12)));
  const auto data = open(3);
  expect_counted(*data);
  EXPECT_EQ(data->spec().fields[0].sizes, Tokens{3});
  EXPECT_EQ(data->note(), "windows of 3 tokens; 2 of 12 tokens fill none, at the end of a file, and are left out");
  write("a.bin", llmc_file(20240801, 7, counted<std::uint32_t>(12, 100'000)));
  EXPECT_EQ(read_field<std::int64_t>(*open(3), "targets", {1}), (Tokens{100'004, 100'005, 100'006}));
  EXPECT_NE(open(3)->digest(), data->digest());
  EXPECT_NE(open(3)->digest(), open(2)->digest());
}

// The last target is no token of a window of its own.
TEST_F(TokenFiles, AWindowNeedsTheTokenThatFollows) {
  write("a.bin", bytes_of(counted<std::uint16_t>(6)));
  EXPECT_EQ(open(3)->size(), 1);
  EXPECT_EQ(open(5)->size(), 1);
  EXPECT_EQ(open(1)->size(), 5);
  EXPECT_ERROR(open(6), InputError, "no window of 6 tokens and one that follows", "a.bin has 6");
  write("a.bin", bytes_of(counted<std::uint16_t>(7)));
  EXPECT_EQ(open(3)->size(), 2);
  EXPECT_EQ(read_field<std::int64_t>(*open(3), "targets", {1}), (Tokens{4, 5, 6}));
}

TEST_F(TokenFiles, FollowOneAnotherByName) {
  write("b.bin", llmc_file(20240520, 1, counted<std::uint16_t>(5, 20)));
  write("a.bin", llmc_file(20240801, 7, counted<std::uint32_t>(7, 10)));
  write("aa.bin", llmc_file(20240520, 1, counted<std::uint16_t>(2)));  // holds no window
  const auto data = open(3);
  EXPECT_EQ(data->size(), 3);
  EXPECT_EQ(read_field<std::int64_t>(*data, "tokens", {0, 1, 2}), (Tokens{10, 11, 12, 13, 14, 15, 20, 21, 22}));
  EXPECT_NE(data->note().find("3 of 14 tokens"), std::string::npos) << data->note();
  EXPECT_NE(data->place(0, 2).find("b.bin, window at byte 1024"), std::string::npos);
}

TEST_F(TokenFiles, OfMegatronHaveTheTypeOfTheirIndex) {
  write("text.bin", bytes_of(counted<std::uint16_t>(10)));
  write("text.idx", megatron_index(8, 2, {4, 6}));
  expect_counted(*open(3));
  EXPECT_EQ(open(3)->note().find("no header"), std::string::npos);
  write("text.bin", bytes_of(counted<std::int32_t>(10)));
  write("text.idx", megatron_index(4, 4, {4, 6}) + "\1\2");  // with a mode for each sequence
  expect_counted(*open(3));
  write("text.bin", bytes_of(counted<std::int64_t>(10)));
  write("text.idx", megatron_index(5, 8, {10}));
  expect_counted(*open(3));
}

TEST_F(TokenFiles, WithoutAHeaderAreUint16UnlessToldOtherwise) {
  write("train.bin", bytes_of(counted<std::uint16_t>(10)));
  expect_counted(*open(3));
  EXPECT_NE(open(3)->note().find("train.bin has no header: read as uint16"), std::string::npos) << open(3)->note();
  fs::rename(directory_ / "train.bin", directory_ / "train.uint32.bin");
  write("train.uint32.bin", bytes_of(counted<std::uint32_t>(10)));
  expect_counted(*open(3));
  EXPECT_EQ(open(3)->note().find("no header"), std::string::npos);
  fs::remove(directory_ / "train.uint32.bin");
  write("train.bin", bytes_of(counted<std::uint32_t>(100)));
  EXPECT_ERROR(open(3), InputError, "train.bin", "seem to be uint32", ".uint32.bin");
  fs::rename(directory_ / "train.bin", directory_ / "train.uint16.bin");
  EXPECT_EQ(open(3)->size(), 66);
  fs::remove(directory_ / "train.uint16.bin");
  for (const char* name : {"train.bin", "train.uint32.bin"}) {
    write(name, bytes_of(counted<std::int64_t>(100)));
    EXPECT_ERROR(open(3), InputError, name, "seem to be int64");
    fs::remove(directory_ / name);
  }
}

TEST_F(TokenFiles, ArePackedToo) {
  const gzFile file = ::gzopen((directory_ / "a.bin.gz").c_str(), "wb");
  const std::string bytes = llmc_file(20240520, 1, counted<std::uint16_t>(10));
  ::gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  ::gzclose(file);
  expect_counted(*open(3));
}

TEST_F(TokenFiles, NeedAWindow) {
  write("a.bin", bytes_of(counted<std::uint16_t>(10)));
  EXPECT_ERROR(Formats::builtin().open(directory_.path()), InputError, directory_.path().string(),
               "exported with a fixed number of tokens");
}

TEST_F(TokenFiles, OfLlmcAreAsLongAsTheirHeaderSays) {
  const std::string good = llmc_file(20240520, 1, counted<std::uint16_t>(5));
  for (const std::size_t size : {8U, 11U, 1023U, 1024U, 1025U, 1033U}) {
    write("a.bin", good.substr(0, size));
    EXPECT_ERROR(open(3), InputError, "a.bin is truncated at byte " + std::to_string(size));
  }
  write("a.bin", good + "xy");
  EXPECT_ERROR(open(3), InputError, "a.bin goes on to byte 1036", "5 tokens of uint16, which end at byte 1034");
  write("a.bin", llmc_file(20240520, 2, counted<std::uint16_t>(5)));
  EXPECT_ERROR(open(3), InputError, "a.bin", "expected the version 1", "at byte 4, found 2");
  write("a.bin", llmc_file(20240522, 1, counted<std::uint16_t>(5)));
  EXPECT_ERROR(open(3), InputError, "a.bin", "questions");
  std::string negative = good;
  negative[11] = '\xff';
  write("a.bin", negative);
  EXPECT_ERROR(open(3), InputError, "a.bin", "impossible count of tokens at byte 8");
  write("a.bin", "abc");
  EXPECT_ERROR(open(3), InputError, "a.bin is truncated at byte 3", "within a token of uint16");
}

TEST_F(TokenFiles, OfMegatronFitTheirIndex) {
  const std::string tokens = bytes_of(counted<std::uint16_t>(10));
  const std::string index = megatron_index(8, 2, {4, 6});
  const auto refused = [&](const std::string& changed, const std::string& text) {
    write("text.bin", tokens);
    write("text.idx", changed);
    EXPECT_ERROR(open(3), InputError, "text.idx", text);
  };
  for (std::size_t size = 1; size < index.size(); ++size) {
    refused(index.substr(0, size),
            size < 34 ? "ends at byte " + std::to_string(size) : std::to_string(size) + " bytes");
  }
  const auto with = [&](std::size_t at, char byte) {
    std::string changed = index;
    changed[at] = byte;
    return changed;
  };
  refused(with(0, 'X'), "expected MMIDIDX at byte 0");
  refused(with(9, 2), "expected the version 1, found 2 at byte 9");
  refused(with(17, 6), "found 6 at byte 17");
  refused(with(17, 0), "found 0 at byte 17");
  refused(with(17, 99), "found 99 at byte 17");
  refused(with(18, 0), "impossible counts");
  refused(with(25, '\x7f'), "impossible counts");
  refused(with(18, 9), "9 sequences");
  refused(with(42, 1), "first sequence begins at 1");
  refused(with(57, '\xff'), "impossible place of the last sequence");
  write("text.idx", index);
  for (const std::size_t size : {1U, 18U, 19U}) {
    write("text.bin", tokens.substr(0, size));
    EXPECT_ERROR(open(3), InputError, "text.bin is truncated at byte " + std::to_string(size), "text.idx",
                 "ends at byte 20");
  }
  write("text.bin", tokens + "ab");
  EXPECT_ERROR(open(3), InputError, "text.bin goes on to byte 22");
  fs::remove(directory_ / "text.bin");
  EXPECT_ERROR(open(3), InputError, "text.idx is an index of tokens", "in text.bin");
}

TEST_F(TokenFiles, AFileThatShrinksWhileItIsReadIsNamed) {
  write("a.bin", bytes_of(counted<std::uint16_t>(10)));
  const auto data = open(3);
  write("a.bin", bytes_of(counted<std::uint16_t>(8)));
  EXPECT_EQ(read_field<std::int64_t>(*data, "tokens", {1}), (Tokens{3, 4, 5}));
  EXPECT_ERROR(read_field<std::int64_t>(*data, "tokens", {2}), InputError, "a.bin is truncated: it ends at byte 16");
}

// 6 GiB, of which nothing is read before it is asked for.
TEST_F(TokenFiles, LargerThanMemoryTakeNone) {
  constexpr std::int64_t kCount = std::int64_t{3} << 30;
  write("large.bin", bytes_of(std::vector<std::uint16_t>{9, 8, 7, 6}));
  fs::resize_file(directory_ / "large.bin", static_cast<std::uintmax_t>(kCount) * 2);
  EXPECT_LT(peak_memory([&] {
              ProgramSamples samples(open(1023), {{.name = "x", .type = ElementType::kInt64}}, {});
              samples.require_tokens(samples.input(0), 10, "ten rows");
              samples.require_classes(10, "ten classes");
              EXPECT_EQ(samples.size(), (kCount - 1) / 1023);
              EXPECT_EQ(samples.classes(), 0);
              Tokens tokens(1023);
              Tokens targets(1023);
              const std::vector<std::byte*> columns = {reinterpret_cast<std::byte*>(tokens.data()),
                                                       reinterpret_cast<std::byte*>(targets.data())};
              for (const std::int64_t sample : {samples.size() - 1, std::int64_t{0}})
                samples.read(std::vector{sample}, columns);
              if (tokens[0] != 9 || targets[0] != 8) throw InternalError("other tokens");
            }),
            std::uint64_t{16} << 20);
}

TEST_F(TokenFiles, LargerThanMemoryAreCheckedAsTheyAreRead) {
  write("large.bin", bytes_of(std::vector<std::uint16_t>{9, 8, 11, 6, 5}));
  fs::resize_file(directory_ / "large.bin", std::uintmax_t{256} << 20);
  ProgramSamples samples(open(2), {{.name = "x", .type = ElementType::kInt32}}, {});
  std::vector<std::int32_t> tokens(2);
  Tokens targets(2);
  const std::vector<std::byte*> columns = {reinterpret_cast<std::byte*>(tokens.data()),
                                           reinterpret_cast<std::byte*>(targets.data())};
  const auto read = [&](std::int64_t sample) { samples.read(std::vector{sample}, columns); };
  read(1);
  EXPECT_EQ(tokens, (std::vector<std::int32_t>{11, 6}));
  samples.require_classes(11, "the program has 11 classes");
  EXPECT_ERROR(read(0), InputError, "large.bin, window at byte 2: the label of sample 0 is 11",
               "the program has 11 classes, so labels must be 0 … 10");
  samples.require_tokens(samples.input(0), 10, "the program takes 10 different ones");
  EXPECT_ERROR(read(1), InputError, "large.bin, window at byte 4: the token of sample 1 is 11",
               "so tokens must be 0 … 9");
  EXPECT_NO_THROW(read(2));
}

}  // namespace
}  // namespace lockstep

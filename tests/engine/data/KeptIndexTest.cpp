// Indexes of text tables that are kept for the next job.
#include "engine/data/KeptIndex.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/data/Formats.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestArrays.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Kept : public testing::Test {
 protected:
  Kept() { fs::create_directory(channel_); }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(channel_ / name, std::ios::binary) << text;
  }
  std::shared_ptr<const Dataset> open(bool kept = true, std::int64_t most_bad = 0) {
    ChannelOptions options;
    if (kept) options.index_dir = indexes_;
    options.most_bad = most_bad;
    return Formats::builtin().open(channel_, options).dataset;
  }
  std::vector<fs::path> indexes() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(indexes_)) {
      if (entry.path().extension() == ".index") found.push_back(entry.path());
    }
    return found;
  }
  static std::vector<std::vector<std::byte>> content(const Dataset& data) {
    std::vector<std::int64_t> samples;
    for (std::int64_t i = data.size() - 1; i >= 0; --i) samples.push_back(i);
    std::vector<std::vector<std::byte>> columns;
    std::vector<std::byte*> places;
    for (const Field& field : data.spec().fields) columns.emplace_back(field.bytes() * samples.size());
    for (auto& column : columns) places.push_back(column.data());
    data.read(samples, places);
    return columns;
  }
  static void expect_same(const Dataset& a, const Dataset& b) {
    EXPECT_EQ(a.size(), b.size());
    EXPECT_EQ(a.digest(), b.digest());
    EXPECT_EQ(a.note(), b.note());
    ASSERT_EQ(a.spec().fields.size(), b.spec().fields.size());
    for (std::size_t i = 0; i < a.spec().fields.size(); ++i) {
      const Field& one = a.spec().fields[i];
      const Field& other = b.spec().fields[i];
      EXPECT_EQ(one.name, other.name);
      EXPECT_EQ(one.type, other.type);
      EXPECT_EQ(one.bound, other.bound);
      EXPECT_EQ(one.categories, other.categories);
    }
    EXPECT_EQ(content(a), content(b));
  }

  TemporaryDirectory directory_;
  const fs::path channel_ = directory_ / "train";
  const fs::path indexes_ = directory_ / "indexes";
};

TEST_F(Kept, TheNextJobFindsWhatTheFirstFoundOut) {
  write("a.csv", "height,kind,label\n1.5,caf\xe9,1\n-3e2,dog,0\n");  // Latin-1 is no UTF-8
  write("b.csv", "height,kind,label\r\n\r\n.25,\"a\n\"\"b\",7\r\n");
  const auto plain = open(false);
  expect_same(*open(), *plain);
  ASSERT_EQ(indexes().size(), 1);
  const auto written = fs::last_write_time(indexes()[0]);
  expect_same(*open(), *plain);
  EXPECT_EQ(fs::last_write_time(indexes()[0]), written);
}

TEST_F(Kept, JsonLinesAndPackedFiles) {
  write("a.jsonl", "{\"x\": [1, 2], \"y\": \"cat\"}\n{\"x\": [3, 4.5], \"y\": \"dog\"}\n");
  const auto plain = open(false);
  expect_same(*open(), *plain);
  expect_same(*open(), *plain);
}

// Rows are not gone through again: what changes between the looked-at bytes, under the same time, goes unseen.
TEST_F(Kept, IsWhatIsRead) {
  std::string rows = "x,y\n";
  for (int i = 0; i < 200'000; ++i) rows += "1.25,3\n";
  write("a.csv", rows);
  struct stat before {};
  ASSERT_EQ(::stat((channel_ / "a.csv").c_str(), &before), 0);
  EXPECT_EQ(open()->spec().fields[1].bound, 4);
  rows[4 + 7 * 1000 + 5] = '9';  // in no block that is looked at
  write("a.csv", rows);
  const timespec times[] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, (channel_ / "a.csv").c_str(), times, 0), 0);
  EXPECT_EQ(open()->spec().fields[1].bound, 4);
  write("a.csv", rows);  // at another time
  EXPECT_EQ(open()->spec().fields[1].bound, 10);
  EXPECT_EQ(indexes().size(), 2);
}

TEST_F(Kept, BelongsToHowTheFilesAreRead) {
  write("a.csv", "x,y\n1,2\n3\n5,6\n");
  EXPECT_ERROR(open(), InputError, "line 3");
  const auto plain = open(false, 1);
  EXPECT_EQ(open(true, 1)->digest(), plain->digest());
  const auto again = open(true, 1);
  ASSERT_EQ(again->bad_records()->size(), 1);
  EXPECT_EQ(again->bad_records()->at(0).sample, plain->bad_records()->at(0).sample);
  EXPECT_EQ(again->bad_records()->at(0).why, plain->bad_records()->at(0).why);
  EXPECT_ERROR(open(), InputError, "line 3");
}

// Cut anywhere, or with any byte changed, it counts as none, and is made anew.
TEST_F(Kept, DamageIsNoticed) {
  write("a.csv", "x,y\n1,2\n3,4\n");
  const auto plain = open(false);
  open();
  const fs::path path = indexes().at(0);
  std::string bytes(fs::file_size(path), '\0');
  std::ifstream(path, std::ios::binary).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x11);
    for (const std::string& damaged : {changed, bytes.substr(0, i), bytes + bytes.substr(0, i + 1)}) {
      std::ofstream(path, std::ios::binary) << damaged;
      expect_same(*open(), *plain);
      std::string mended(fs::file_size(path), '\0');
      std::ifstream(path, std::ios::binary).read(mended.data(), static_cast<std::streamsize>(mended.size()));
      ASSERT_EQ(mended, bytes) << i;
    }
  }
}

TEST_F(Kept, SeveralProcessesMakeOne) {
  std::string rows = "x,y\n";
  for (int i = 0; i < 20'000; ++i) rows += "1.25,3\n";
  write("a.csv", rows);
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(open()->size() == 20'000 ? 0 : 1);
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(indexes().size(), 1);
}

TEST_F(Kept, WhatHasNoIndexSaysSo) {
  write("a.csv", "x,y\n1,2\n");
  EXPECT_FALSE(Formats::builtin().open(channel_).without_index);
  fs::remove(channel_ / "a.csv");
  write("x.npy", npy("<f4", "(2,)", std::string(8, '\0')));
  EXPECT_TRUE(Formats::builtin().open(channel_).without_index);
}

TEST_F(Kept, ADirectoryThatCannotBeIsNamed) {
  write("a.csv", "x,y\n1,2\n");
  std::ofstream(indexes_) << "a file";
  EXPECT_ERROR(open(), SystemError, "data_index_dir", indexes_.string());
}

TEST_F(Kept, ThoseAskedForLongestAgoGo) {
  write("a.csv", "x,y\n1,0\n");
  open();
  const fs::path first = indexes().at(0);
  for (std::size_t i = 1; i <= KeptIndex::kMostKept + 5; ++i) {
    write("a.csv", "x,y\n1," + std::to_string(i) + "\n");
    open();
  }
  EXPECT_EQ(indexes().size(), KeptIndex::kMostKept);
  EXPECT_FALSE(fs::exists(first));
  const auto entries = std::distance(fs::directory_iterator(indexes_), {});
  EXPECT_EQ(entries, 2 * KeptIndex::kMostKept);  // each beside its lock
}

}  // namespace
}  // namespace lockstep

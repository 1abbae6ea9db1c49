#include "engine/files/MappedFile.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/files/RandomAccessFile.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

std::string bytes_of(const RandomAccessFile& file, std::uint64_t offset, std::size_t count) {
  std::vector<std::byte> bytes(count);
  file.read_at(offset, bytes);
  return {reinterpret_cast<const char*>(bytes.data()), count};
}

class Mapped : public testing::Test {
 protected:
  Mapped() {
    for (int i = 0; i < 20'000; ++i) content_ += static_cast<char>('a' + i % 23);
    std::ofstream(path_, std::ios::binary) << content_;
  }

  TemporaryDirectory directory_;
  const std::filesystem::path path_ = directory_ / "file";
  std::string content_{};
};

// First of all: nothing is mapped before the process says that it may be.
TEST_F(Mapped, FilesAreReadWhereTheProcessDoesNotAllowMore) {
  EXPECT_EQ(MappedFile::of(PlainFile(path_)), nullptr);
  RandomAccessFile file(path_);
  file.map();
  EXPECT_EQ(bytes_of(file, 1000, 50), content_.substr(1000, 50));
}

TEST_F(Mapped, PartsOfAnySizeAreTheFiles) {
  allow_mapped_files();
  EXPECT_NE(MappedFile::of(PlainFile(path_)), nullptr);
  RandomAccessFile file(path_);
  file.map();
  for (const std::size_t count : {0, 1, 4096, 17'000}) {
    for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{4095}, content_.size() - count}) {
      if (offset + count > content_.size()) continue;
      EXPECT_EQ(bytes_of(file, offset, count), content_.substr(offset, count));
    }
  }
  EXPECT_ERROR(bytes_of(file, 19'990, 11), InputError, path_.string() + " is truncated");
  EXPECT_ERROR(bytes_of(file, ~std::uint64_t{0}, 2), InputError, path_.string());
}

TEST_F(Mapped, AFileThatIsCutIsAnErrorNotASignal) {
  allow_mapped_files();
  RandomAccessFile file(path_);
  file.map();
  EXPECT_EQ(bytes_of(file, 9'000, 10), content_.substr(9'000, 10));
  std::filesystem::resize_file(path_, 4096);
  for (int i = 0; i < 3; ++i) {
    EXPECT_ERROR(bytes_of(file, 9'000, 10), InputError, path_.string() + " is truncated");
    EXPECT_EQ(bytes_of(file, 10, 10), content_.substr(10, 10));
  }
}

// As the kernel says of the mapping: `rr` is that it is read at random.
TEST_F(Mapped, PagesBringTheirNeighboursOnlyWhereMemoryHoldsThem) {
  allow_mapped_files();
  EXPECT_EQ(read_around_of(1 << 20), ReadAround::kYes);
  EXPECT_EQ(read_around_of(std::uint64_t{1} << 60), ReadAround::kNo);
  for (const ReadAround around : {ReadAround::kYes, ReadAround::kNo}) {
    const auto mapped = MappedFile::of(PlainFile(path_), around);
    std::ifstream maps("/proc/self/smaps");
    std::string line;
    while (std::getline(maps, line) && line.find(path_.string()) == std::string::npos) {
    }
    while (std::getline(maps, line) && !line.starts_with("VmFlags:")) {
    }
    EXPECT_EQ(line.find(" rr ") != std::string::npos, around == ReadAround::kNo) << line;
  }
}

TEST_F(Mapped, OtherSignalsOfTheKindStillEndTheProcess) {
  allow_mapped_files();
  EXPECT_EXIT(::raise(SIGBUS); ::raise(SIGBUS), testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace lockstep

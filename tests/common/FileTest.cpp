#include "common/File.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "common/Error.h"
#include "common/FailureFile.h"
#include "common/RankStatus.h"
#include "common/RegularFile.h"
#include "common/ReplaceFile.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

void write_text(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

TEST(ReadFile, ReturnsTheContent) {
  const TemporaryDirectory directory;
  write_text(directory / "a", std::string("x\0y", 3));
  EXPECT_EQ(read_file(directory / "a", 3), std::string("x\0y", 3));
}

TEST(ReadFile, RefusesWhatIsMissingTooLargeOrNoFile) {
  const TemporaryDirectory directory;
  write_text(directory / "a", "four");
  EXPECT_ERROR(read_file(directory / "b", 9), InputError, "/b", "No such file");
  EXPECT_ERROR(read_file(directory / "a", 3), InputError, "4 bytes", "at most 3");
  EXPECT_ERROR(read_file(directory.path(), 9), InputError, "not a regular file");
}

// Opening a pipe would wait for its other end for ever.
TEST(RegularFile, APipeInTheFilesPlaceIsRefused) {
  const TemporaryDirectory directory;
  ASSERT_EQ(::mkfifo((directory / "pipe").c_str(), 0600), 0);
  EXPECT_ERROR(open_regular_file(directory / "pipe"), InputError, "/pipe is not a regular file: it is a pipe");
  EXPECT_ERROR(read_file(directory / "pipe", 9), InputError, "it is a pipe");
  EXPECT_ERROR(OutputFile(directory / "pipe"), SystemError, "/pipe");
  const FileDescriptor reader(::open((directory / "pipe").c_str(), O_RDONLY | O_NONBLOCK));
  EXPECT_ERROR(OutputFile(directory / "pipe"), SystemError, "it is a pipe");
  EXPECT_EQ(read_failure_file(directory.path()), "");
  fs::rename(directory / "pipe", directory / "failure");
  EXPECT_EQ(read_failure_file(directory.path()), "");
  EXPECT_FALSE(write_failure_file(directory.path(), "why"));
}

TEST(RegularFile, NamesWhatIsThere) {
  const TemporaryDirectory directory;
  EXPECT_ERROR(open_regular_file(directory.path()), InputError, "it is a directory");
  EXPECT_ERROR(open_regular_file("/dev/null"), InputError, "/dev/null", "it is a device");
  EXPECT_ERROR(open_regular_file(directory / "none"), InputError, "cannot open", "No such file");
}

TEST(OutputFile, ReportsAFullDisk) {
  OutputFile file("/dev/full");
  EXPECT_ERROR(file.write("x"), SystemError, "/dev/full", "No space left");
}

TEST(StagingDirectory, LeavesNothingWithoutPublish) {
  const TemporaryDirectory directory;
  {
    const StagingDirectory staging(directory / "model");
    write_text(staging.path() / "model.pt2", "half");
  }
  EXPECT_TRUE(fs::is_empty(directory / "model"));
}

TEST(StagingDirectory, PublishReplacesEntriesAndKeepsOthers) {
  const TemporaryDirectory directory;
  fs::create_directories(directory / "model/1/variables");
  write_text(directory / "model/1/old", "old");
  write_text(directory / "model/model.pt2", "old");
  write_text(directory / "model/other", "kept");
  StagingDirectory staging(directory / "model");
  fs::create_directory(staging.path() / "1");
  write_text(staging.path() / "1/new", "new");
  write_text(staging.path() / "model.pt2", "new");
  staging.publish();
  EXPECT_EQ(read_file(directory / "model/model.pt2", 9), "new");
  EXPECT_EQ(read_file(directory / "model/other", 9), "kept");
  EXPECT_TRUE(fs::exists(directory / "model/1/new"));
  EXPECT_FALSE(fs::exists(directory / "model/1/old"));
}

TEST(StagingDirectory, PublishReplacesWhateverHasTheName) {
  const TemporaryDirectory directory;
  fs::create_directories(directory / "model/model.pt2/deep");
  write_text(directory / "model/model.pt2/deep/file", "old");
  write_text(directory / "model/1", "a file");
  fs::create_directory(directory / "elsewhere");
  fs::create_symlink(directory / "elsewhere", directory / "model/2");
  StagingDirectory staging(directory / "model");
  write_text(staging.path() / "model.pt2", "new");
  for (const char* name : {"1", "2"}) {
    fs::create_directory(staging.path() / name);
    write_text(staging.path() / name / "file", "new");
  }
  staging.publish();
  EXPECT_EQ(read_file(directory / "model/model.pt2", 9), "new");
  for (const char* name : {"1", "2"}) EXPECT_EQ(read_file(directory / "model" / name / "file", 9), "new");
  EXPECT_TRUE(fs::is_empty(directory / "elsewhere"));
  EXPECT_EQ(std::distance(fs::directory_iterator(directory / "model"), {}), 4) << "these and the staging directory";
}

TEST(StagingDirectory, WhatAKilledProcessLeftCanBeRemoved) {
  const TemporaryDirectory directory;
  fs::create_directories(directory / "model/.partial-abcdef/1");
  write_text(directory / "model/.partial-abcdef/1/half", "half");
  write_text(directory / "model/model.pt2", "whole");
  remove_abandoned_staging(directory / "model");
  EXPECT_FALSE(fs::exists(directory / "model/.partial-abcdef"));
  EXPECT_TRUE(fs::exists(directory / "model/model.pt2"));
  remove_abandoned_staging(directory / "nowhere");
}

TEST(StagingDirectory, WhatALivingProcessWritesIsNotAbandoned) {
  const TemporaryDirectory directory;
  const fs::path model = directory / "model";
  const StagingDirectory living(model, "job");
  const fs::path aside = living.path().string() + "-1";
  fs::create_directory(aside);
  const pid_t child = ::fork();
  if (child == 0) {
    new StagingDirectory(model, "job");
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ASSERT_EQ(std::distance(fs::directory_iterator(model), {}), 3);
  remove_abandoned_staging(model, "another");
  EXPECT_EQ(std::distance(fs::directory_iterator(model), {}), 3);
  remove_abandoned_staging(model);
  EXPECT_EQ(std::distance(fs::directory_iterator(model), {}), 2) << "the killed one's is gone";
  EXPECT_TRUE(fs::exists(living.path()) && fs::exists(aside));
}

TEST(StagingDirectory, IsNotTakenForAbandonedWhileItIsMade) {
  const TemporaryDirectory directory;
  std::atomic<bool> over = false;
  std::thread remover([&] {
    while (!over) remove_abandoned_staging(directory.path());
  });
  for (int i = 0; i < 2000; ++i) {
    StagingDirectory staging(directory.path());
    write_text(staging.path() / "file", "x");
    EXPECT_TRUE(fs::exists(staging.path() / "file")) << i;
  }
  over = true;
  remover.join();
}

TEST(ReplaceFile, LeavesNothingWhenItCannotReplace) {
  const TemporaryDirectory directory;
  fs::create_directories(directory / "report.html/in the way");
  EXPECT_ERROR(replace_file(directory / "report.html", "text"), SystemError, "cannot rename", "report.html");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory.path()), {}), 1);
}

TEST(StagingDirectory, RefusesAPlaceThatCannotBeADirectory) {
  const TemporaryDirectory directory;
  write_text(directory / "model", "a file");
  EXPECT_ERROR(StagingDirectory(directory / "model/sub"), InputError, "model/sub");
}

TEST(FailureFile, KeepsTheFirstCauseAndCutsBetweenCharacters) {
  const TemporaryDirectory directory;
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "é";
  EXPECT_TRUE(write_failure_file(directory / "output", text));
  EXPECT_FALSE(write_failure_file(directory / "output", "second"));
  EXPECT_EQ(read_file(directory / "output/failure", 9999), text.substr(0, 2048));
}

TEST(RankStatus, ReachesTheLauncher) {
  const RankStatusFile file;
  EXPECT_EQ(file.read(), RankStatus::kStarting);
  report_status(file.path(), RankStatus::kListening);
  EXPECT_EQ(file.read(), RankStatus::kListening);
  report_status(file.path(), RankStatus::kEnded);
  EXPECT_EQ(file.read(), RankStatus::kEnded);
  report_status("", RankStatus::kListening);  // a rank that no launcher of ours has started
  report_status("/proc/1/fd/none", RankStatus::kListening);
}

}  // namespace
}  // namespace lockstep

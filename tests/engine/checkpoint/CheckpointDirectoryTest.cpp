#include "engine/checkpoint/CheckpointDirectory.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "common/Error.h"
#include "common/File.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

void put(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }
std::string get(const fs::path& path) { return read_file(path, 1 << 20); }

void write(const CheckpointDirectory& directory, std::int64_t step, const std::string& content = "abcdefgh") {
  directory.write(step, [&](const fs::path& place) {
    put(place / "state.json", "{}");
    put(place / "model.safetensors", content);
  });
}

std::vector<std::int64_t> steps(const CheckpointDirectory& directory) {
  std::vector<std::int64_t> found;
  for (const ListedCheckpoint& checkpoint : directory.list()) found.push_back(checkpoint.step);
  return found;
}

using Steps = std::vector<std::int64_t>;

TEST(CheckpointDirectory, NothingThereIsNoCheckpoint) {
  const TemporaryDirectory place;
  EXPECT_TRUE(CheckpointDirectory(place / "nowhere", {}).list().empty());
  put(place / "file", "x");
  EXPECT_ERROR(CheckpointDirectory(place / "file", {}).list(), InputError, "/file");
}

TEST(CheckpointDirectory, ListsWhatItWroteNewestFirstAmongOtherThings) {
  const TemporaryDirectory place;
  const CheckpointDirectory directory(place / "checkpoints", {{"a", "b"}});
  write(directory, 20);
  write(directory, 1'234'567'890);
  write(directory, 3);
  for (const char* other : {"step-3", "step-00000000x", "step-", "checkpoint-1", "step-000000003.tmp"}) {
    fs::create_directory(directory.path() / other);
  }
  put(directory.path() / "step", "x");
  const auto list = directory.list();
  EXPECT_EQ(steps(directory), (Steps{1'234'567'890, 20, 3}));
  for (const ListedCheckpoint& one : list) {
    EXPECT_EQ(one.problem, "");
    EXPECT_EQ(one.job, directory.job_digest());
    EXPECT_NO_THROW(directory.verify(one.step));
  }
  EXPECT_EQ(get(directory.path() / "step-000000003/model.safetensors"), "abcdefgh");
  EXPECT_TRUE(fs::exists(directory.path() / "step-1234567890/manifest.json"));
}

TEST(CheckpointDirectory, JobsThatDifferInANameOrAValueAreOthers) {
  const std::string job = CheckpointDirectory("x", {{"a", "bc"}}).job_digest();
  EXPECT_NE(job, CheckpointDirectory("x", {{"ab", "c"}}).job_digest());
  EXPECT_NE(job, CheckpointDirectory("x", {{"a", "b"}}).job_digest());
  EXPECT_EQ(job, CheckpointDirectory("y", {{"a", "bc"}}).job_digest());
}

// Every byte of every file, also of the manifest itself.
TEST(CheckpointDirectory, NoByteCanChange) {
  const TemporaryDirectory place;
  const CheckpointDirectory directory(place / "checkpoints", {});
  write(directory, 7);
  const std::string before = directory.list().at(0).digest;
  for (const char* name : {"manifest.json", "state.json", "model.safetensors"}) {
    const fs::path path = directory.path_of(7) / name;
    const std::string content = get(path);
    for (std::size_t i = 0; i < content.size(); ++i) {
      std::string changed = content;
      changed[i] = static_cast<char>(changed[i] ^ 0x20);
      put(path, changed);
      bool noticed = directory.list().at(0).digest != before || directory.list().at(0).job != directory.job_digest();
      try {
        directory.verify(7);
      } catch (const InputError& error) {
        noticed = true;
        EXPECT_NE(std::string(error.what()).find(directory.path_of(7).string()), std::string::npos) << error.what();
      }
      EXPECT_TRUE(noticed) << name << ", byte " << i;
    }
    put(path, content);
  }
  EXPECT_NO_THROW(directory.verify(7));
}

TEST(CheckpointDirectory, ListingNoticesFilesThatAreMissingOrCut) {
  const TemporaryDirectory place;
  const CheckpointDirectory directory(place / "checkpoints", {});
  const auto problem = [&] { return directory.list().at(0).problem; };
  const fs::path path = directory.path_of(7);
  write(directory, 7);
  fs::resize_file(path / "model.safetensors", 5);
  EXPECT_NE(problem().find("model.safetensors has 5 bytes; 8 were written"), std::string::npos) << problem();
  fs::remove(path / "model.safetensors");
  EXPECT_NE(problem().find("model.safetensors"), std::string::npos) << problem();
  write(directory, 7);
  EXPECT_EQ(problem(), "");
  fs::resize_file(path / "manifest.json", 20);
  EXPECT_NE(problem().find("manifest.json is not JSON"), std::string::npos) << problem();
  fs::remove(path / "manifest.json");
  EXPECT_NE(problem().find("No such file"), std::string::npos) << problem();
  fs::remove_all(path);
  put(path, "a file of this name");
  EXPECT_NE(problem(), "");
}

TEST(CheckpointDirectory, RefusesManifestsThatAreNotOurs) {
  const TemporaryDirectory place;
  const CheckpointDirectory directory(place / "checkpoints", {});
  write(directory, 7);
  const fs::path path = directory.path_of(7) / "manifest.json";
  const auto manifest = nlohmann::json::parse(get(path));
  const auto with = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json changed = manifest;
    changed[key] = value;
    put(path, changed.dump());
    return directory.list().at(0).problem;
  };
  EXPECT_NE(with("version", 2).find("of version 2; this Lockstep reads 1"), std::string::npos);
  EXPECT_NE(with("format", "other").find("not a checkpoint's manifest"), std::string::npos);
  EXPECT_NE(with("job", 3).find("not a checkpoint's manifest"), std::string::npos);
  EXPECT_NE(with("files", {{"../../x", {{"bytes", 1}, {"crc32c", "0"}}}}).find("\"../../x\""), std::string::npos);
  EXPECT_NE(with("files", {{"x", {{"bytes", -1}, {"crc32c", "0"}}}}).find("\"x\""), std::string::npos);
  put(path, std::string(2 << 20, ' '));
  EXPECT_NE(directory.list().at(0).problem.find("at most"), std::string::npos);
}

TEST(CheckpointDirectory, AFailedWriteLeavesWhatWasThere) {
  const TemporaryDirectory place;
  const CheckpointDirectory directory(place / "checkpoints", {});
  write(directory, 7, "old");
  EXPECT_THROW(directory.write(7,
                               [](const fs::path& made) {
                                 put(made / "model.safetensors", "half");
                                 throw SystemError("no space");
                               }),
               SystemError);
  EXPECT_NO_THROW(directory.verify(7));
  EXPECT_EQ(std::distance(fs::directory_iterator(directory.path()), {}), 1);
  write(directory, 7, "new");
  EXPECT_NO_THROW(directory.verify(7));
  EXPECT_EQ(get(directory.path_of(7) / "model.safetensors"), "new");
}

TEST(CheckpointDirectory, KeepsTheNewestOfThisJobOnly) {
  const TemporaryDirectory place;
  const CheckpointDirectory mine(place / "checkpoints", {{"job", "mine"}});
  const CheckpointDirectory other(place / "checkpoints", {{"job", "other"}});
  for (const int step : {10, 20, 30, 40}) write(mine, step);
  write(other, 15);
  write(other, 50);
  fs::create_directory(mine.path_of(5));
  EXPECT_TRUE(mine.keep_newest(2, 30).empty());
  EXPECT_EQ(steps(mine), (Steps{50, 30, 20, 15, 5}));
  EXPECT_TRUE(mine.keep_newest(2, 30).empty());
  EXPECT_EQ(steps(mine), (Steps{50, 30, 20, 15, 5}));
}

/// Runs `part` as somebody whom permissions bind, which they do not bind root. Returns whether it went well.
bool as_somebody(const std::function<void()>& part) {
  const auto child = ::fork();
  if (child == 0) {
    try {
      constexpr uid_t kNobody = 65534;
      if (::geteuid() == 0 && ::setresuid(kNobody, kNobody, kNobody) != 0) ::_exit(2);
      part();
      ::_exit(testing::Test::HasFailure() ? 1 : 0);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      ::_exit(1);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// One that may not be read is passed over: the job must get past its step again.
TEST(CheckpointDirectory, ReplacesWhatMayNotBeRead) {
  const TemporaryDirectory place;
  fs::permissions(place.path(), fs::perms::all);
  EXPECT_TRUE(as_somebody([&] {
    const CheckpointDirectory directory(place / "own", {});
    write(directory, 7, "old");
    fs::permissions(directory.path_of(7), fs::perms::none);
    EXPECT_NE(directory.list().at(0).problem.find("Permission denied"), std::string::npos);
    write(directory, 7, "new");
    EXPECT_EQ(get(directory.path_of(7) / "model.safetensors"), "new");
    EXPECT_EQ(std::distance(fs::directory_iterator(directory.path()), {}), 1);
  }));
  // Root's, which somebody else cannot remove.
  const CheckpointDirectory directory(place / "of-root", {});
  write(directory, 7, "old");
  fs::permissions(directory.path_of(7), fs::perms::none);
  fs::permissions(directory.path(), fs::perms::all);
  EXPECT_TRUE(as_somebody([&] {
    write(directory, 7, "new");
    EXPECT_EQ(get(directory.path_of(7) / "model.safetensors"), "new");
    EXPECT_EQ(steps(directory), (Steps{7}));
    directory.remove_leftovers();
    EXPECT_EQ(steps(directory), (Steps{7}));
  }));
}

// What cannot be removed takes up room, and is no reason to end a job whose state is saved.
TEST(CheckpointDirectory, SaysWhatItCannotRemove) {
  const TemporaryDirectory place;
  const CheckpointDirectory directory(place / "checkpoints", {});
  for (const int step : {10, 20, 30}) write(directory, step);
  fs::permissions(place.path(), fs::perms::all);
  constexpr auto kReadOnly = static_cast<fs::perms>(0555);
  fs::permissions(directory.path(), kReadOnly);
  EXPECT_TRUE(as_somebody([&] {
    const std::vector<std::string> kept = directory.keep_newest(1, 30);
    EXPECT_EQ(kept.size(), 2);
    EXPECT_EQ(kept.at(0), "cannot remove " + directory.path_of(20).string() + ": Permission denied");
    EXPECT_EQ(steps(directory), (Steps{30, 20, 10}));
  }));
  fs::permissions(directory.path(), fs::perms::owner_all);
  EXPECT_TRUE(directory.keep_newest(1, 30).empty());
  EXPECT_EQ(steps(directory), (Steps{30}));
}

TEST(CheckpointDirectory, RemovesLeftoversOfThisJobOnly) {
  const TemporaryDirectory place;
  const CheckpointDirectory mine(place / "checkpoints", {{"job", "mine"}});
  const CheckpointDirectory other(place / "checkpoints", {{"job", "other"}});
  const auto die = [](const CheckpointDirectory& directory) {
    const auto child = ::fork();
    if (child == 0) {
      directory.write(1, [](const fs::path& made) {
        put(made / "model.safetensors", "half");
        ::_exit(0);
      });
    }
    ::waitpid(child, nullptr, 0);
  };
  die(mine);
  die(other);
  EXPECT_TRUE(mine.list().empty());
  EXPECT_EQ(std::distance(fs::directory_iterator(mine.path()), {}), 2);
  mine.remove_leftovers();
  EXPECT_EQ(std::distance(fs::directory_iterator(mine.path()), {}), 1);
  other.remove_leftovers();
  EXPECT_TRUE(fs::is_empty(mine.path()));
}

}  // namespace
}  // namespace lockstep

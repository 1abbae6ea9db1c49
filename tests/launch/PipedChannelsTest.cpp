// Streams through real FIFOs.
#include "launch/PipedChannels.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "launch/WrappedObjects.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

void pause(int count) { std::this_thread::sleep_for(milliseconds(count)); }

std::string random_bytes(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(generator());
  return bytes;
}

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::map<std::string, std::string> contents(const fs::path& directory) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::directory_iterator(directory)) {
    all[entry.path().filename().string()] = content(entry.path());
  }
  return all;
}

std::string part(unsigned kind, const std::string& data) {
  const auto length = static_cast<std::uint32_t>(data.size());
  const std::uint32_t word = kind << 29U | length;
  std::string bytes = "\x0a\x23\xd7\xce";
  bytes.append(reinterpret_cast<const char*>(&word), sizeof word);
  return bytes + data + std::string((4 - length % 4) % 4, '\0');
}

class PipedChannelsTest : public testing::Test {
 protected:
  PipedChannelsTest() {
    fs::create_directory(directory_ / "tmp");
    ::setenv("TMPDIR", (directory_ / "tmp").c_str(), 1);
    job_.hosts = {"algo-1"};
    job_.config.hyperparameters.pipe_timeout = 60;
    pipe("train");
  }
  ~PipedChannelsTest() override {
    ::unsetenv("TMPDIR");
    EXPECT_TRUE(fs::is_empty(directory_ / "tmp")) << "something is left behind";
  }

  void pipe(const std::string& channel) {
    job_.piped_channels.insert(channel);
    job_.config.channels[channel] = directory_ / channel;
  }
  fs::path fifo(const std::string& channel = "train") const { return directory_ / (channel + "_0"); }
  void make(const std::string& channel = "train") const { ASSERT_EQ(::mkfifo(fifo(channel).c_str(), 0600), 0); }

  using Feed = std::function<void(std::ofstream& stream)>;
  /// A writer, which opens the FIFO in its own time.
  std::jthread feeder(const Feed& feed, const std::string& channel = "train") const {
    return std::jthread([this, feed, channel] {
      std::ofstream stream(fifo(channel), std::ios::binary);
      feed(stream);
    });
  }
  std::jthread feeder(const std::string& bytes, const std::string& channel = "train") const {
    return feeder([bytes](std::ofstream& stream) { stream << bytes; }, channel);
  }
  PipedChannels read() { return {supervisor_, job_}; }

  TemporaryDirectory directory_;
  Supervisor supervisor_;
  Job job_;
};

TEST_F(PipedChannelsTest, AStreamBecomesAFile) {
  make();
  const std::string bytes = random_bytes(5'000'001, 1);
  const std::jthread writer = feeder(bytes);
  const PipedChannels piped = read();
  EXPECT_EQ(content(piped.directories().at("train") / "train_0"), bytes);
}

TEST_F(PipedChannelsTest, OneThatIsFedSlowlyOrInBurstsIsWhole) {
  job_.config.hyperparameters.pipe_timeout = 2;
  for (const bool bursts : {false, true}) {
    fs::remove(fifo());
    make();
    const std::string bytes = random_bytes(bursts ? 900'000 : 2400, 2);
    const std::jthread writer = feeder([&](std::ofstream& stream) {
      pause(200);
      const std::size_t each = bursts ? 300'000 : 100;
      for (std::size_t at = 0; at < bytes.size(); at += each) {
        stream << bytes.substr(at, each) << std::flush;
        pause(bursts ? 700 : 100);  // in all longer than the stream may stand still
      }
    });
    const PipedChannels piped = read();
    EXPECT_EQ(content(piped.directories().at("train") / "train_0"), bytes);
  }
}

TEST_F(PipedChannelsTest, AFifoMayComeLate) {
  const std::jthread writer([this] {
    pause(250);
    make();
    std::ofstream(fifo()) << "late";
  });
  EXPECT_EQ(content(read().directories().at("train") / "train_0"), "late");
}

TEST_F(PipedChannelsTest, AllAreReadAtOnce) {
  pipe("validation");
  make("train");
  make("validation");
  const std::jthread writer([this] {
    std::ofstream validation(fifo("validation"));
    validation << random_bytes(300'000, 3) << std::flush;
    std::ofstream(fifo("train")) << "first";
    validation << "end";
  });
  const PipedChannels piped = read();
  EXPECT_EQ(content(piped.directories().at("train") / "train_0"), "first");
  EXPECT_EQ(content(piped.directories().at("validation") / "validation_0"), random_bytes(300'000, 3) + "end");
}

TEST_F(PipedChannelsTest, RecordsThatWrapObjectsBecomeFiles) {
  job_.wrapped_channels = {"train"};
  using Texts = std::vector<std::string>;
  const std::string magic = "\x0a\x23\xd7\xce";
  const std::string large = random_bytes(100'003, 4);
  const std::string stream = part(0, "one") + part(0, "") + part(0, large) + part(1, "abcd") + part(2, "efgh") +
                             part(3, "i") + part(0, "last");
  for (const std::size_t each : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, stream.size()}) {
    const TemporaryDirectory place;
    WrappedObjects objects("it", place.path());
    for (std::size_t at = 0; at < stream.size(); at += each) {
      objects.take(std::as_bytes(std::span(stream).subspan(at, std::min(each, stream.size() - at))));
    }
    objects.end();
    const std::map<std::string, std::string> expected = {{"object-000000000", "one"},
                                                         {"object-000000001", ""},
                                                         {"object-000000002", large},
                                                         {"object-000000003", join(Texts{"abcd", "efgh", "i"}, magic)},
                                                         {"object-000000004", "last"}};
    EXPECT_EQ(contents(place.path()), expected) << each;
  }
  make();
  const std::jthread writer = feeder(stream);
  EXPECT_EQ(contents(read().directories().at("train")).size(), 5);
}

// At each of its bytes.
TEST_F(PipedChannelsTest, RecordsThatEndEarlyAreRefused) {
  const std::string first = part(0, "abcdef");
  const std::string stream = first + part(1, "gh") + part(3, "i");
  for (std::size_t end = 0; end <= stream.size(); ++end) {
    const TemporaryDirectory place;
    WrappedObjects objects("it", place.path());
    objects.take(std::as_bytes(std::span(stream).first(end)));
    if (end == 0 || end == first.size() || end == stream.size()) {
      EXPECT_NO_THROW(objects.end()) << end;
    } else {
      const bool second = end > first.size() + 7;
      EXPECT_ERROR(objects.end(), InputError, "it, at byte " + std::to_string(end), "in the middle of",
                   end < first.size() ? "record 0" : "record 1", second ? "begins at byte 16" : "stopped early");
    }
  }
}

TEST_F(PipedChannelsTest, WhatIsNoRecordIsRefused) {
  const auto take = [](const std::string& stream) {
    const TemporaryDirectory place;
    WrappedObjects("it", place.path()).take(std::as_bytes(std::span(stream)));
  };
  EXPECT_ERROR(take("a,b\n1,2\n3,4\n"), InputError, "it, at byte 0", "record 0 of RecordIO",
               "RecordWrapperType to None");
  EXPECT_ERROR(take(part(0, "abcd") + "rubbish and more"), InputError, "at byte 12", "record 1");
  EXPECT_ERROR(take(part(3, "abcd")), InputError, "at byte 0", "has not begun");
  EXPECT_ERROR(take(part(1, "abcd") + part(0, "efgh")), InputError, "at byte 12", "record 0 has not ended");
  EXPECT_ERROR(take(part(7, "abcd")), InputError, "at byte 0", "no header");
}

// Random changes: a clear error, or other files; never more than what came.
TEST_F(PipedChannelsTest, AnyBytesAreRefusedOrTaken) {
  std::string whole;
  for (std::size_t i = 0; i < 20; ++i) whole += part(0, random_bytes(i * 13, 5));
  std::mt19937 generator(6);
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::string stream = whole;
    for (int changes = 0; changes < 3; ++changes) stream[generator() % stream.size()] = static_cast<char>(generator());
    stream.resize(generator() % (stream.size() + 1));
    const TemporaryDirectory place;
    WrappedObjects objects("it", place.path());
    try {
      objects.take(std::as_bytes(std::span(stream)));
      objects.end();
    } catch (const InputError& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with("it, at byte ")) << error.what();
      ++refused;
    }
    std::size_t bytes = 0;
    for (const auto& [name, data] : contents(place.path())) bytes += data.size();
    EXPECT_LE(bytes, stream.size());
  }
  EXPECT_GT(refused, 200);
}

TEST_F(PipedChannelsTest, OneThatNeverComesIsNamedWithinTheDeadline) {
  job_.config.hyperparameters.pipe_timeout = 0.4;
  const std::string name = "channel train: its stream " + fifo().string();
  EXPECT_ERROR(read(), InputError, name + " has not come within 0.4 s (pipe_timeout)");
  make();
  EXPECT_ERROR(read(), InputError, name + " has brought no byte within 0.4 s", "S3 prefix");
}

TEST_F(PipedChannelsTest, OneThatStandsStillIsNamedWithWhatHasCome) {
  job_.config.hyperparameters.pipe_timeout = 1;
  make();
  const std::jthread writer = feeder([](std::ofstream& stream) {
    stream << std::string(1234, 'x') << std::flush;
    pause(2000);
  });
  EXPECT_ERROR(read(), InputError, "stands still after 1,234 bytes", "1 s");
}

TEST_F(PipedChannelsTest, AnEmptyOneIsRefusedUnlessOtherHostsHaveTheData) {
  make();
  std::jthread writer = feeder("");
  EXPECT_ERROR(read(), InputError, "has ended without a byte", "S3 prefix");
  writer.join();
  job_.hosts = {"algo-1", "algo-2"};
  job_.config.hyperparameters.sharded = {"train"};
  writer = feeder("");
  EXPECT_EQ(content(read().directories().at("train") / "train_0"), "");
}

TEST_F(PipedChannelsTest, ClosedEarlyWithinARecord) {
  make();
  job_.wrapped_channels = {"train"};
  const std::jthread writer = feeder(part(0, "abcd") + part(0, "efghijkl").substr(0, 11));
  EXPECT_ERROR(read(), InputError, fifo().string() + ", at byte 23", "middle of record 1, which begins at byte 12");
}

TEST_F(PipedChannelsTest, WhatIsNoFifoIsRefused) {
  std::ofstream(fifo()) << "a file";
  EXPECT_ERROR(read(), InputError, fifo().string() + " is no FIFO", "FastFile");
}

TEST_F(PipedChannelsTest, NoRoomIsSaidWithWhatHasCome) {
  make();
  // A volume that is full: the file may not grow.
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small = {.rlim_cur = 200'000, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::jthread writer([this] {
    ::signal(SIGPIPE, SIG_IGN);
    std::ofstream(fifo()) << std::string(500'000, 'x');
  });
  EXPECT_ERROR(read(), SystemError, "its stream " + fifo().string(), "cannot write", "TMPDIR", "FastFile");
  ::setrlimit(RLIMIT_FSIZE, &before);
}

TEST_F(PipedChannelsTest, ASignalEndsIt) {
  make();
  const std::jthread writer = feeder([](std::ofstream& stream) {
    stream << "some" << std::flush;
    pause(300);
    ::kill(::getpid(), SIGTERM);
    pause(200);
  });
  EXPECT_ERROR(read(), StopError, "signal 15");
}

TEST_F(PipedChannelsTest, ThereNeedBeNone) {
  job_.piped_channels.clear();
  EXPECT_TRUE(read().directories().empty());
}

}  // namespace
}  // namespace lockstep

// Bytes in memory and, beyond a bound, in a file without a name.
#include "engine/files/ScratchBytes.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "common/Error.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

std::string text_at(const ScratchBytes& bytes, std::uint64_t offset, std::size_t count) {
  std::string text(count, '\0');
  bytes.read_at(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

void append(ScratchBytes& bytes, const std::string& text) {
  bytes.append(std::as_bytes(std::span(text.data(), text.size())), "x.gz");
}

class Scratch : public testing::Test {
 protected:
  Scratch() { ::setenv("TMPDIR", directory_.path().c_str(), 1); }
  ~Scratch() override { ::unsetenv("TMPDIR"); }

  TemporaryDirectory directory_;
};

TEST_F(Scratch, BytesAreTheSameWhereverTheyLie) {
  for (const std::uint64_t most : {0U, 3U, 4U, 10U, 11U, 100U}) {
    ScratchBytes bytes(most);
    append(bytes, "one ");
    append(bytes, "");
    append(bytes, "two and");
    EXPECT_EQ(bytes.size(), 11);
    EXPECT_EQ(text_at(bytes, 0, 11), "one two and") << most;
    EXPECT_EQ(text_at(bytes, 3, 5), " two ") << most;
    EXPECT_EQ(text_at(bytes, 11, 0), "") << most;
    EXPECT_ERROR(text_at(bytes, 8, 4), InternalError, "nobody wrote");
    for (const std::uint64_t offset : {0U, 10U, 11U, 100U})
      bytes.expect(offset, 1000);  // of bytes that are not there, too
    EXPECT_TRUE(std::filesystem::is_empty(directory_.path())) << most;
  }
}

// They are held in blocks of a MiB.
TEST_F(Scratch, ManyBytesAreTheSameWhereverTheyLie) {
  std::string text((3 << 20) + 7, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>((i * 2654435761U) >> 13);
  for (const std::uint64_t most : {std::uint64_t{5} << 20, std::uint64_t{2} << 20}) {
    ScratchBytes bytes(most);
    for (std::size_t i = 0; i < text.size(); i += 700'001) append(bytes, text.substr(i, 700'001));
    ASSERT_EQ(bytes.size(), text.size());
    EXPECT_EQ(text_at(bytes, 0, text.size()), text);
    EXPECT_EQ(text_at(bytes, (1 << 20) - 3, 10), text.substr((1 << 20) - 3, 10));
    EXPECT_EQ(text_at(bytes, 2 << 20, 1 << 20), text.substr(2 << 20, 1 << 20));
  }
}

TEST_F(Scratch, SaysWhereThereIsNoRoom) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const rlim_t before = std::exchange(limit.rlim_cur, 10);
  ::setrlimit(RLIMIT_FSIZE, &limit);
  ScratchBytes bytes(3);
  EXPECT_ERROR(append(bytes, "more than there is room for"), InputError,
               "there is no room in " + directory_.path().string(), "for the content of x.gz", "File too large",
               "set TMPDIR to a directory with room");
  limit.rlim_cur = before;
  ::setrlimit(RLIMIT_FSIZE, &limit);
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
  ::setenv("TMPDIR", (directory_ / "none").c_str(), 1);
  ScratchBytes nowhere(0);
  EXPECT_ERROR(append(nowhere, "x"), InputError, "set TMPDIR");
}

}  // namespace
}  // namespace lockstep

#include "engine/files/ZipFile.h"

#include <gtest/gtest.h>

#include <fstream>

#include "common/Error.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestZip.h"

namespace lockstep {
namespace {

class ZipFileTest : public testing::Test {
 protected:
  ZipFile open(const std::string& bytes, ZipNames names = ZipNames::kWithinFolder) const {
    std::ofstream(directory_ / "a.zip", std::ios::binary) << bytes;
    return ZipFile(directory_ / "a.zip", names);
  }

 private:
  const TemporaryDirectory directory_;
};

TEST_F(ZipFileTest, ReadsStoredAndDeflatedEntries) {
  std::string random;
  for (unsigned i = 0, x = 1; i < 300'000; ++i) random += static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  const ZipFile file = open(zip_file({{"name/empty", "", false},
                                      {"name/a/b.txt", "hello", false},
                                      {"name/zeros", std::string(1'000'000, '\0'), true},
                                      {"name/random", random, true},
                                      {"name/none", "", true}}));
  EXPECT_EQ(file.text("empty", 0), "");
  EXPECT_EQ(file.text("none", 0), "");
  EXPECT_EQ(file.text("a/b.txt", 5), "hello");
  EXPECT_EQ(file.text("zeros", 1'000'000), std::string(1'000'000, '\0'));
  EXPECT_EQ(file.text("random", 1'000'000), random);
  EXPECT_EQ(file.size("zeros"), 1'000'000);
  EXPECT_FALSE(file.has("name/empty"));
  EXPECT_ERROR(file.size("other"), InputError, "other is missing");
}

TEST_F(ZipFileTest, NamesAreCutOnlyToWhatIsWithinOneFolder) {
  using Names = std::vector<std::string>;
  const std::string folders = zip_file({{"a/x", "1"}, {"b/x", "2"}, {"b/y/z", "3"}});
  EXPECT_EQ(open(folders).names(), (Names{"a/x", "b/x", "b/y/z"}));
  EXPECT_EQ(open(folders).text("b/x", 1), "2");
  const std::string folder = zip_file({{"a/x", "1"}, {"a/b/x", "2"}});
  EXPECT_EQ(open(folder).names(), (Names{"b/x", "x"}));
  EXPECT_EQ(open(folder, ZipNames::kWhole).names(), (Names{"a/b/x", "a/x"}));
  EXPECT_EQ(open(zip_file({{"x", "1"}, {"a/x", "2"}})).names(), (Names{"a/x", "x"}));
  EXPECT_EQ(open(zip_file({})).names(), Names());
}

TEST_F(ZipFileTest, RefusesContentThatIsNotThatOfItsChecksum) {
  std::string bytes = zip_file({{"name/a", "some content", false}, {"name/b", "other", false}});
  bytes[bytes.find("content")] = 'C';
  EXPECT_ERROR(open(bytes).text("a", 100), InputError, "\"a\" is damaged", "checksum (CRC-32)");
  EXPECT_EQ(open(bytes).text("b", 100), "other");
  for (const std::string& content : {std::string(), std::string(1'000'000, 'a')}) {
    for (const bool deflated : {false, true}) {
      std::string other = zip_file({{"name/a", content, deflated}});
      other[other.find("PK\x01\x02") + 16] ^= 1;
      EXPECT_ERROR(open(other).text("a", 1'000'000), InputError, "\"a\" is damaged", "checksum (CRC-32)");
    }
  }
}

TEST_F(ZipFileTest, IsCheckedAsAWhole) {
  const TemporaryDirectory directory;
  const std::string large(3'000'000, 'x');
  const std::string bytes =
      zip_file({{"a", "", false}, {"b", "hello", false}, {"c", large, true}, {"d", large, false}});
  const auto write = [&](const std::string& content) {
    std::ofstream(directory / "z.zip", std::ios::binary) << content;
  };
  write(bytes);
  EXPECT_NO_THROW(check_zip_file(directory / "z.zip"));
  for (const auto& [place, entry] :
       {std::pair{bytes.find("hello"), "\"b\""}, {bytes.rfind(large) + large.size() - 1, "\"d\""}}) {
    std::string changed = bytes;
    changed[place] = 'H';
    write(changed);
    EXPECT_ERROR(check_zip_file(directory / "z.zip"), InputError, (directory / "z.zip").string(), entry,
                 "checksum (CRC-32)");
  }
  write(bytes.substr(0, bytes.size() - 1));
  EXPECT_ERROR(check_zip_file(directory / "z.zip"), InputError, (directory / "z.zip").string(), "damaged");
}

// Memory grows with what is there, and a piece at a time.
TEST_F(ZipFileTest, UnpacksInPieces) {
  std::string content;
  for (unsigned i = 0, x = 1; i < 1'500'000; ++i) content += static_cast<char>((x = x * 1664525 + 1013904223) >> 28);
  for (const bool deflated : {false, true}) {
    const ZipFile file = open(zip_file({{"a", content, deflated}}), ZipNames::kWhole);
    const std::unique_ptr<InputFile> entry = file.open("a", "the entry");
    EXPECT_EQ(entry->most_content(), content.size());
    std::string found;
    std::string piece(70'001, '\0');
    while (const std::size_t count = entry->read(piece.data(), piece.size())) found += piece.substr(0, count);
    EXPECT_EQ(found, content);
    EXPECT_EQ(entry->offset(), content.size());
  }
}

TEST_F(ZipFileTest, JudgesSizesBeforeItUnpacks) {
  const ZipFile file = open(zip_file({{"name/a", std::string(100, 'a'), true}}));
  EXPECT_ERROR(file.text("a", 99), InputError, "a has 100 bytes; at most 99 are read");
}

TEST_F(ZipFileTest, RefusesAnEntryThatUnpacksToAnotherSize) {
  for (const char other : {'\x63', '\x65'}) {
    std::string bytes = zip_file({{"name/a", std::string(100, 'a'), true}});
    for (std::size_t at = 0; (at = bytes.find(std::string("\x64\0\0\0", 4), at)) != std::string::npos; ++at) {
      bytes[at] = other;
    }
    EXPECT_ERROR(open(bytes).text("a", 1000), InputError, "damaged");
  }
}

TEST_F(ZipFileTest, RefusesNamesThatAreThereTwice) {
  EXPECT_ERROR(open(zip_file({{"name/a", "1"}, {"name/a", "2"}})), InputError, "\"name/a\" twice");
}

TEST_F(ZipFileTest, RefusesSeveralBehindEachOther) {
  const std::string one = zip_file({{"name/a", "1"}});
  EXPECT_ERROR(open(one + one), InputError, "damaged", "is it several files behind each other?");
}

TEST_F(ZipFileTest, NoByteOfItCanCrash) {
  const std::string whole = zip_file({{"name/a", std::string(500, 'a'), true}, {"name/b", "hello", false}});
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int change : {0x01, 0x80, 0xFF}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ change);
      try {
        const ZipFile file = open(changed);
        for (const char* name : {"a", "b"}) {
          if (file.has(name)) file.text(name, 10'000);
        }
      } catch (const InputError&) {
      }
    }
    EXPECT_ERROR(open(whole.substr(0, at)), InputError, "");
  }
}

}  // namespace
}  // namespace lockstep

#include "engine/files/TarFile.h"

#include <gtest/gtest.h>

#include <fstream>
#include <vector>

#include "common/Error.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"
#include "tests/support/TestTar.h"

namespace lockstep {
namespace {

using namespace std::string_literals;

class Tar : public testing::Test {
 protected:
  // "NAME=CONTENT" of all members.
  std::vector<std::string> read(const std::string& bytes) {
    std::ofstream(directory_ / "a.tar", std::ios::binary) << bytes;
    const RandomAccessFile file(directory_ / "a.tar");
    TarReader reader(file);
    std::vector<std::string> found;
    while (const auto member = reader.next()) {
      found.push_back(member->name + "=" + bytes.substr(member->offset, member->length));
    }
    return found;
  }

  TemporaryDirectory directory_;
};

using Texts = std::vector<std::string>;

TEST_F(Tar, MembersLieBehindOneAnother) {
  const std::string two = tar_member("a.txt", "first") + tar_member("b/c.txt", std::string(512, 'x'));
  EXPECT_EQ(read(two + tar_end()), (Texts{"a.txt=first", "b/c.txt=" + std::string(512, 'x')}));
  EXPECT_EQ(read(two), read(two + tar_end()));                                        // the end may be missing
  EXPECT_EQ(read(two + tar_end() + tar_member("d", "e") + tar_end()).back(), "d=e");  // an archive behind another
  EXPECT_ERROR(read(two + tar_end() + "rest"), InputError, "truncated within a header");
  EXPECT_ERROR(read(two + tar_end() + std::string(512, 'r')), InputError, "its checksum does not fit");
  EXPECT_EQ(read(tar_member("empty", "") + two).front(), "empty=");
  EXPECT_EQ(read(tar_header("link", 0, '2') + tar_header("directory/", 0, '5') + two), read(two));
  EXPECT_TRUE(read(tar_end()).empty());
}

TEST_F(Tar, NamesMayBeLong) {
  const std::string name(180, 'n');
  EXPECT_EQ(read(tar_header("short", 2, '0', "", "folder") + tar_padded("ab")), Texts{"folder/short=ab"});
  EXPECT_EQ(read(tar_member("././@LongLink", name + '\0', 'L') + tar_member("cut", "ab") + tar_member("b", "c")),
            (Texts{name + "=ab", "b=c"}));
  const auto pax = [](const std::string& record) {
    return tar_member("pax", std::to_string(record.size() + 3) + " " + record, 'x');
  };
  EXPECT_EQ(read(pax("path=" + name.substr(0, 80) + "\n") + tar_member("cut", "ab") + tar_member("b", "c")),
            (Texts{name.substr(0, 80) + "=ab", "b=c"}));
  // The records have the size where the header has no room for it.
  EXPECT_EQ(read(tar_member("pax", "9 size=2\n", 'x') + tar_header("a", 0) + tar_padded("xy") + tar_member("b", "c")),
            (Texts{"a=xy", "b=c"}));
  EXPECT_EQ(read(tar_member("pax", "9 size=2\n", 'g') + tar_member("a", "abc")), Texts{"a=abc"});
}

TEST_F(Tar, SizesMayBeOfBase256) {
  EXPECT_EQ(read(tar_header("a", 0, '0', "\x80"s + std::string(10, '\0') + "\2") + tar_padded("xy")), Texts{"a=xy"});
  EXPECT_ERROR(read(tar_header("a", 0, '0', std::string(12, '\xff'))), InputError, "at byte 0, a header was expected");
  EXPECT_ERROR(read(tar_header("a", 0, '0', "\x80"s + std::string(3, '\0') + std::string(8, '\x7f'))), InputError,
               "a member of 9187201950435737471 bytes begins, and 0 are left");
}

TEST_F(Tar, DamageIsNamed) {
  const std::string whole = tar_member("a", "first") + tar_member("b", "second");
  EXPECT_ERROR(read(whole.substr(0, 1100)), InputError, "a.tar is not an intact tar file: at byte 1024",
               "truncated within a header");
  EXPECT_ERROR(read(whole.substr(0, 1540)), InputError, "at byte 1024, a member of 6 bytes begins, and 4 are left");
  std::string changed = whole;
  changed[1024] = 'c';
  EXPECT_ERROR(read(changed), InputError, "at byte 1024", "its checksum does not fit");
  EXPECT_ERROR(read(tar_header("a", 5, '0', "0000000000x ") + tar_padded("first")), InputError, "at byte 0");
  EXPECT_ERROR(read(tar_header("long", 2 << 20, 'L') + std::string(2 << 20, 'n')), InputError,
               "a name of 2097152 bytes");
  for (const char* records :
       {"x", "0 path=a\n", "99 path=a\n", "9path=a\n", "3 size=x\n", "9 size=x\n", "4294967295999 x"}) {
    EXPECT_ERROR(read(tar_member("pax", records, 'x') + whole), InputError, "damaged");
  }
}

}  // namespace
}  // namespace lockstep

// Files that are packed by zstd: what they hold, and what a broken one is told. Gzip is in data/IdxTest.cpp.
#include "engine/files/InputFile.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <fstream>
#include <string>

#include "common/Error.h"
#include "engine/files/RandomAccessFile.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

class Zstd : public testing::Test {
 protected:
  /// One frame.
  static std::string frame(const std::string& content, int window = 0) {
    ZSTD_CCtx* context = ::ZSTD_createCCtx();
    ::ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    ::ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window);
    std::string out(::ZSTD_compressBound(content.size()), '\0');
    ZSTD_inBuffer in{content.data(), content.size(), 0};
    ZSTD_outBuffer packed{out.data(), out.size(), 0};
    while (in.pos < in.size) ::ZSTD_compressStream2(context, &packed, &in, ZSTD_e_continue);  // of unknown size
    EXPECT_EQ(::ZSTD_compressStream2(context, &packed, &in, ZSTD_e_end), 0);
    ::ZSTD_freeCCtx(context);
    out.resize(packed.pos);
    return out;
  }
  std::string unpacked(const std::string& packed) {
    std::ofstream(directory_ / "x.zst", std::ios::binary) << packed;
    const auto bytes = read_all(*open_input_file(directory_ / "x.zst"));
    return {bytes.begin(), bytes.end()};
  }

  TemporaryDirectory directory_;
};

std::string numbers(std::size_t size) {
  std::string content(size, '\0');
  for (std::size_t i = 0; i < size; ++i) content[i] = static_cast<char>((i * 2654435761U) >> 13);
  return content;
}

TEST_F(Zstd, EveryFrameIsContent) {
  EXPECT_EQ(content_name("part/x.npy.zst"), "part/x.npy");
  EXPECT_EQ(unpacked(frame("")), "");
  EXPECT_EQ(unpacked(frame("one ") + frame("") + frame("two")), "one two");
  const std::string skipped("\x50\x2a\x4d\x18\x04\0\0\0size", 12);  // as pzstd begins
  EXPECT_EQ(unpacked(skipped + frame("one ") + skipped + frame("two")), "one two");
  for (const std::size_t size :
       {std::size_t{128} << 10, (std::size_t{1} << 20) - 1, std::size_t{1} << 20, std::size_t{3} << 20}) {
    EXPECT_EQ(unpacked(frame(numbers(size)) + frame("end")), numbers(size) + "end");
  }
}

TEST_F(Zstd, EveryTruncationIsRefused) {
  const std::string packed = frame("some content") + frame("and more of it");
  const std::size_t first = frame("some content").size();
  for (std::size_t size = 4; size < packed.size(); ++size) {
    if (size == first) continue;
    EXPECT_ERROR(unpacked(packed.substr(0, size)), InputError, "x.zst is not an intact zstd file", "it is truncated",
                 "copy or compress it again");
  }
  const std::string large = frame(numbers(3 << 20));
  EXPECT_ERROR(unpacked(large.substr(0, large.size() - 1)), InputError, "after 3145728 bytes", "it is truncated");
}

TEST_F(Zstd, DamageIsRefused) {
  std::string packed = frame(numbers(1000));
  packed[packed.size() - 1] ^= 1;  // the checksum
  EXPECT_ERROR(unpacked(packed), InputError, "x.zst is not an intact zstd file", "checksum");
  EXPECT_ERROR(unpacked(frame("twelve bytes") + "and a text"), InputError, "after 12 bytes of content",
               "bytes follow that are no zstd");
}

TEST_F(Zstd, MemoryIsBoundedByTheWindow) {
  EXPECT_EQ(unpacked(frame("small", 27)), "small");
  EXPECT_ERROR(unpacked(frame("small", 28)), InputError, "more than 128 MiB of memory", "--long=27");
}

TEST_F(Zstd, ContentIsReadAtAnyPlace) {
  std::ofstream(directory_ / "x.zst", std::ios::binary) << frame(numbers(1 << 20));
  const RandomAccessFile file(directory_ / "x.zst");
  ASSERT_EQ(file.size(), 1U << 20);
  std::string part(1000, '\0');
  file.read_at(500'000, std::as_writable_bytes(std::span(part)));
  EXPECT_EQ(part, numbers(1 << 20).substr(500'000, 1000));
}

}  // namespace
}  // namespace lockstep

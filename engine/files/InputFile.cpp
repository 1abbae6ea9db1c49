#include "engine/files/InputFile.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <new>
#include <span>
#include <string_view>

#include "common/Error.h"
#include "engine/files/Deflate.h"
#include "engine/files/PlainFile.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kChunk = 1 << 20;
constexpr std::array<std::uint8_t, 2> kGzipMagic = {0x1f, 0x8b};
constexpr int kGzipWindow = 15 + 16;  // the largest, and gzip's header and checksum around it
constexpr std::array<std::uint8_t, 4> kZstdMagic = {0x28, 0xb5, 0x2f, 0xfd};
constexpr std::array<std::uint8_t, 4> kPzstdMagic = {0x50, 0x2a, 0x4d, 0x18};  // a frame to skip, with pzstd's sizes
constexpr int kZstdWindow = 27;  // log2 of the bytes of memory that a frame may ask for: what `zstd -d` grants

/// The bytes of a file, from its start.
class UnpackedFile : public InputFile {
 public:
  explicit UnpackedFile(PlainFile file) : InputFile(file.name()), file_(std::move(file)) {}
  std::uintmax_t most_content() const override { return file_.size(); }

 private:
  std::size_t read_some(void* out, std::size_t count) override {
    return file_.read_some_at(offset(), std::span(static_cast<std::byte*>(out), count));
  }

  PlainFile file_;
};

/// One member or several: zlib's own reader would pass over what follows them in silence.
class GzipFile : public InputFile {
 public:
  explicit GzipFile(PlainFile file) : InputFile(file.name()), file_(std::move(file)) {
    if (::inflateInit2(&stream_, kGzipWindow) != Z_OK) throw std::bad_alloc();
  }
  ~GzipFile() override { ::inflateEnd(&stream_); }
  std::uintmax_t most_content() const override { return file_.size() * kMostCompression; }

 private:
  std::size_t read_some(void* out, std::size_t count) override {
    stream_.next_out = static_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(std::min(count, kChunk));
    const uInt wanted = stream_.avail_out;
    while (stream_.avail_out > 0) {
      if (stream_.avail_in == 0) fill();
      if (stream_.avail_in == 0 && member_ended_) break;
      inflate_some();
    }
    return wanted - stream_.avail_out;
  }

  void fill() {
    stream_.next_in = buffer_.data();
    stream_.avail_in = static_cast<uInt>(file_.read_some_at(taken_, std::as_writable_bytes(std::span(buffer_))));
    taken_ += stream_.avail_in;
  }

  void inflate_some() {
    if (member_ended_) {
      if (*stream_.next_in != kGzipMagic[0]) refuse("bytes follow that are no gzip");
      ::inflateReset(&stream_);
      member_ended_ = false;
    }
    const uInt room = stream_.avail_out;
    const int code = ::inflate(&stream_, Z_NO_FLUSH);
    made_ += room - stream_.avail_out;
    member_ended_ = code == Z_STREAM_END;
    if (code == Z_OK || member_ended_) return;
    if (code == Z_MEM_ERROR) throw std::bad_alloc();
    // Z_BUF_ERROR: the file ends within a member.
    refuse(code == Z_BUF_ERROR ? "it is truncated" : stream_.msg != nullptr ? stream_.msg : "it is damaged");
  }

  [[noreturn]] void refuse(const std::string& cause) const {
    throw InputError(name() + " is not an intact gzip file: after " + std::to_string(made_) + " bytes of content, " +
                     cause + "; copy or compress it again");
  }

  PlainFile file_;
  std::uint64_t taken_ = 0;  ///< bytes of the file
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(kChunk);
  z_stream stream_{};
  bool member_ended_ = false;
  std::size_t made_ = 0;  ///< bytes of content
};

/// One frame or several, after one another (RFC 8878).
class ZstdFile : public InputFile {
 public:
  explicit ZstdFile(PlainFile file) : InputFile(file.name()), file_(std::move(file)), stream_(::ZSTD_createDStream()) {
    if (!stream_) throw std::bad_alloc();
    ::ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kZstdWindow);
  }
  std::uintmax_t most_content() const override { return file_.size() * kMostZstdCompression; }

 private:
  // A block of 4 bytes may stand for one byte 128 Ki times.
  static constexpr std::uint64_t kMostZstdCompression = (128 << 10) / 4;

  std::size_t read_some(void* out, std::size_t count) override {
    ZSTD_outBuffer content{.dst = out, .size = std::min(count, kChunk), .pos = 0};
    while (content.pos < content.size) {
      if (packed_.pos == packed_.size) {
        fill();
        if (packed_.size == 0 && frame_ended_) break;
      }
      const std::size_t before = content.pos;
      const std::size_t left = ::ZSTD_decompressStream(stream_.get(), &content, &packed_);
      made_ += content.pos - before;
      if (::ZSTD_isError(left) != 0) refuse(left);
      if (packed_.size == 0 && left != 0 && content.pos == before) refuse("it is truncated");
      frame_ended_ = left == 0;
    }
    return content.pos;
  }

  void fill() {
    packed_ = {.src = buffer_.data(),
               .size = file_.read_some_at(taken_, std::as_writable_bytes(std::span(buffer_))),
               .pos = 0};
    taken_ += packed_.size;
  }

  [[noreturn]] void refuse(std::size_t code) const {
    if (::ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation) throw std::bad_alloc();
    if (::ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge) {
      throw InputError(name() +
                       " asks for more than 128 MiB of memory to be unpacked: compress it again, with a window "
                       "of at most 128 MiB (zstd --long=27 or less)");
    }
    refuse(::ZSTD_getErrorCode(code) == ZSTD_error_prefix_unknown ? "bytes follow that are no zstd"
                                                                  : ::ZSTD_getErrorName(code));
  }
  [[noreturn]] void refuse(const std::string& cause) const {
    throw InputError(name() + " is not an intact zstd file: after " + std::to_string(made_) + " bytes of content, " +
                     cause + "; copy or compress it again");
  }

  struct Free {
    void operator()(ZSTD_DStream* stream) const { ::ZSTD_freeDStream(stream); }
  };

  PlainFile file_;
  std::uint64_t taken_ = 0;  ///< bytes of the file
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(::ZSTD_DStreamInSize());
  ZSTD_inBuffer packed_{};
  std::unique_ptr<ZSTD_DStream, Free> stream_;
  bool frame_ended_ = false;
  std::size_t made_ = 0;  ///< bytes of content
};

/// What a file can be packed in, by its first bytes.
struct Packing {
  std::span<const std::uint8_t> magic;
  std::string_view end;  ///< of its name
  std::unique_ptr<InputFile> (*open)(PlainFile file);
};

template <typename File>
std::unique_ptr<InputFile> open_as(PlainFile file) {
  return std::make_unique<File>(std::move(file));
}

constexpr Packing kPackings[] = {
    {.magic = kGzipMagic, .end = ".gz", .open = open_as<GzipFile>},
    {.magic = kZstdMagic, .end = ".zst", .open = open_as<ZstdFile>},
    {.magic = kPzstdMagic, .end = ".zst", .open = open_as<ZstdFile>},
    {.magic = {}, .end = "", .open = open_as<UnpackedFile>},  // plain
};

const Packing& packing_of(const PlainFile& file) {
  std::array<std::uint8_t, 8> head{};
  const std::span<const std::uint8_t> found(head.data(), file.read_some_at(0, std::as_writable_bytes(std::span(head))));
  return *std::ranges::find_if(kPackings, [&](const Packing& candidate) {
    return found.size() >= candidate.magic.size() &&
           std::ranges::equal(candidate.magic, found.first(candidate.magic.size()));
  });
}

}  // namespace

std::size_t InputFile::read(void* out, std::size_t count) {
  auto* bytes = static_cast<std::uint8_t*>(out);
  std::size_t done = 0;
  while (done < count) {
    const std::size_t some = read_some(bytes + done, count - done);
    if (some == 0) break;
    done += some;
    offset_ += some;
  }
  return done;
}

std::unique_ptr<InputFile> open_input_file(const fs::path& path) {
  PlainFile file(path);
  const Packing& packing = packing_of(file);
  return packing.open(std::move(file));
}

bool is_packed(const PlainFile& file) { return !packing_of(file).magic.empty(); }

std::vector<std::uint8_t> read_all(InputFile& file) {
  std::vector<std::uint8_t> bytes;
  try {
    while (true) {
      const std::size_t done = bytes.size();
      bytes.resize(done + kChunk);
      const std::size_t count = file.read(bytes.data() + done, kChunk);
      bytes.resize(done + count);
      if (count < kChunk) return bytes;
    }
  } catch (const std::bad_alloc&) {
    throw InputError(file.name() + " does not fit in memory when it is unpacked");
  }
}

std::string content_name(const std::string& file_name) {
  const auto* const packing =
      std::ranges::find_if(kPackings, [&](const Packing& row) { return file_name.ends_with(row.end); });
  return file_name.substr(0, file_name.size() - packing->end.size());
}

std::vector<std::uint8_t> read_rest(InputFile& file, std::size_t count, const std::string& expected) {
  std::vector<std::uint8_t> bytes;
  try {
    // Reserved memory costs nothing until it is filled, and a header that lies fills none.
    bytes.reserve(std::min<std::uintmax_t>(count, file.most_content()));
    while (bytes.size() < count) {
      const std::size_t done = bytes.size();
      const std::size_t next = std::min(kChunk, count - done);
      bytes.resize(done + next);
      if (file.read(bytes.data() + done, next) < next) {
        throw InputError(file.name() + " is truncated at byte " + std::to_string(file.offset()) + ": " + expected +
                         "; copy or convert it again");
      }
    }
  } catch (const std::bad_alloc&) {
    throw InputError(file.name() + " does not fit in memory: " + expected);
  }
  if (std::uint8_t extra = 0; file.read(&extra, 1) != 0) {
    throw InputError(file.name() + " has more bytes than it should: " + expected + "; copy or convert it again");
  }
  return bytes;
}

}  // namespace lockstep

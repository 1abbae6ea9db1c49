#include "engine/data/images/Jpeg.h"

#include <turbojpeg.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <type_traits>

#include "common/Error.h"

namespace lockstep {

namespace {

using namespace std::string_view_literals;

// The second bytes of markers, behind 0xff.
constexpr std::uint8_t kFill = 0xff;
constexpr std::uint8_t kStartOfScan = 0xda;
constexpr std::uint8_t kEnd = 0xd9;
constexpr std::uint8_t kExif = 0xe1;

constexpr const char* kRepair = "; copy it again, or convert it";

std::uint8_t byte_at(std::string_view bytes, std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); }
std::size_t big_endian_16(std::string_view bytes, std::size_t i) {
  return std::size_t{byte_at(bytes, i)} << 8U | byte_at(bytes, i + 1);
}

// Start of frame: all of 0xc0 … 0xcf but the tables of Huffman and of arithmetic codes, and one that is reserved.
bool starts_frame(std::uint8_t marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}
// Those without a length.
bool stands_alone(std::uint8_t marker) { return marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8); }

// Where the next marker begins, but for those that stand alone; bytes.size() when there is none.
std::size_t next_marker(std::string_view bytes, std::size_t at) {
  while (at + 2 <= bytes.size()) {
    const std::uint8_t marker = byte_at(bytes, at + 1);
    if (byte_at(bytes, at) != kFill) {
      at = std::min(bytes.find('\xff', at), bytes.size());
    } else if (marker == kFill) {
      ++at;
    } else if (stands_alone(marker)) {
      at += 2;
    } else {
      return at;
    }
  }
  return bytes.size();
}

struct Frame {
  std::size_t channels = 0;
  ImageHeader header;
};

Frame read_frame(std::string_view bytes) {
  Orientation orientation;
  for (std::size_t at = next_marker(bytes, 2); at + 4 <= bytes.size(); at = next_marker(bytes, at)) {
    const std::uint8_t marker = byte_at(bytes, at + 1);
    const std::size_t length = big_endian_16(bytes, at + 2);
    if (length < 2 || length > bytes.size() - at - 2 || marker == kStartOfScan) break;
    const std::string_view content = bytes.substr(at + 4, length - 2);
    if (marker == kExif && content.starts_with("Exif\0\0"sv)) orientation = exif_orientation(content);
    if (starts_frame(marker) && content.size() >= 6) {
      const std::size_t channels = byte_at(content, 5);
      if (byte_at(content, 0) != 8) {
        throw InputError("has " + std::to_string(byte_at(content, 0)) + " bits a channel; expected 8: convert it");
      }
      if (channels != 1 && channels != 3 && channels != 4) {
        throw InputError("has " + std::to_string(channels) + " channels; expected 1, 3 or 4: convert it");
      }
      return {.channels = channels,
              .header = {.height = static_cast<std::int64_t>(big_endian_16(content, 1)),
                         .width = static_cast<std::int64_t>(big_endian_16(content, 3)),
                         .channels = channels == 1 ? 1 : 3,
                         .orientation = orientation}};
    }
    at += 2 + length;
  }
  throw InputError(std::string("is damaged: no frame begins before its pixels do") + kRepair);
}

struct Destroy {
  void operator()(void* handle) const { ::tjDestroy(handle); }
};

/// Making one costs as much as a small image.
tjhandle decompressor() {
  thread_local const std::unique_ptr<std::remove_pointer_t<tjhandle>, Destroy> handle(::tjInitDecompress());
  if (!handle) throw std::bad_alloc();
  return handle.get();
}

// From marker to marker: what lies in a segment, as a smaller image of its own, or behind the end is not looked at.
bool ends(std::string_view bytes) {
  for (std::size_t at = next_marker(bytes, 2); at < bytes.size(); at = next_marker(bytes, at)) {
    const std::uint8_t marker = byte_at(bytes, at + 1);
    if (marker == kEnd) return true;
    if (marker == 0) {  // of a scan
      at += 2;
    } else {
      at += at + 4 > bytes.size() ? 1 : 2 + big_endian_16(bytes, at + 2);
    }
  }
  return false;
}

// Of each ink what is left out, as Adobe writes it, to what light is left: (255 - cyan) · (255 - black) ÷ 255.
void make_rgb(Pixels& pixels, const std::uint8_t* inks) {
  for (std::size_t i = 0; i < pixels.bytes.size(); i += 3, inks += 4) {
    for (std::size_t c = 0; c < 3; ++c) {
      const std::uint32_t product = (255U - inks[c]) * inks[3] + 128U;
      const std::uint32_t taken = ((product >> 8U) + product) >> 8U;  // rounded
      pixels.bytes[i + c] = static_cast<std::uint8_t>(inks[3] - taken);
    }
  }
}

}  // namespace

ImageHeader read_jpeg_header(std::string_view bytes) { return read_frame(bytes).header; }

void decode_jpeg(std::string_view bytes, const ImageHeader& header, int shrink, Pixels& pixels) {
  if (!ends(bytes)) throw InputError(std::string("is truncated: its end is missing") + kRepair);
  const std::size_t channels = read_frame(bytes).channels;
  pixels.resize((header.height + shrink - 1) / shrink, (header.width + shrink - 1) / shrink, header.channels);
  thread_local std::vector<std::uint8_t> inks;
  std::uint8_t* out = pixels.bytes.data();
  if (channels == 4) {
    inks.resize(static_cast<std::size_t>(pixels.height * pixels.width * 4));
    out = inks.data();
  }
  tjhandle handle = decompressor();
  const int failed = ::tjDecompress2(handle, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), out,
                                     static_cast<int>(pixels.width), 0, static_cast<int>(pixels.height),
                                     channels == 4   ? TJPF_CMYK
                                     : channels == 1 ? TJPF_GRAY
                                                     : TJPF_RGB,
                                     TJFLAG_LIMITSCANS);
  if (failed != 0) {
    const std::string cause = ::tjGetErrorStr2(handle);
    const bool harmless =
        ::tjGetErrorCode(handle) == TJERR_WARNING && cause.find("extraneous bytes") != std::string::npos;
    if (!harmless) throw InputError("is damaged (" + cause + ")" + kRepair);
  }
  if (channels == 4) make_rgb(pixels, inks.data());
}

}  // namespace lockstep

#include "engine/data/images/EncodedImage.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "common/Error.h"
#include "engine/data/images/Jpeg.h"
#include "engine/data/images/Png.h"
#include "engine/data/images/Webp.h"

namespace lockstep {

struct EncodedImage::Codec {
  std::string_view name;
  std::string_view magic;
  std::string_view magic_at_8;  ///< behind 8 bytes of any value
  bool shrinks;
  ImageHeader (*header)(std::string_view bytes);
  void (*decode)(std::string_view bytes, const ImageHeader& header, int shrink, Pixels& pixels);
};

namespace {

using namespace std::string_view_literals;

constexpr EncodedImage::Codec kCodecs[] = {
    {.name = "JPEG",
     .magic = "\xff\xd8\xff"sv,
     .magic_at_8 = "",
     .shrinks = true,
     .header = read_jpeg_header,
     .decode = decode_jpeg},
    {.name = "PNG",
     .magic = "\x89PNG\r\n\x1a\n"sv,
     .magic_at_8 = "",
     .shrinks = false,
     .header = read_png_header,
     .decode = decode_png},
    {.name = "WebP",
     .magic = "RIFF",
     .magic_at_8 = "WEBP",
     .shrinks = false,
     .header = read_webp_header,
     .decode = decode_webp},
};

const EncodedImage::Codec* find_codec(std::string_view bytes) {
  const auto* const found = std::ranges::find_if(kCodecs, [&](const EncodedImage::Codec& codec) {
    return bytes.starts_with(codec.magic) &&
           bytes.substr(std::min<std::size_t>(bytes.size(), 8)).starts_with(codec.magic_at_8);
  });
  return found == std::end(kCodecs) ? nullptr : found;
}

}  // namespace

bool EncodedImage::begins(std::string_view bytes) { return find_codec(bytes) != nullptr; }

bool EncodedImage::shrinks() const { return codec_->shrinks; }

EncodedImage::EncodedImage(std::string_view bytes) : bytes_(bytes), codec_(find_codec(bytes)) {
  if (codec_ == nullptr) throw InputError("expected an image, a JPEG, PNG or WebP; it begins as none of them does");
  try {
    header_ = codec_->header(bytes_);
  } catch (const InputError& error) {
    throw InputError("the " + std::string(codec_->name) + " image " + error.what());
  }
  if (header_.height < 1 || header_.width < 1 || header_.width > kMostPixels / header_.height) {
    throw InputError("the " + std::string(codec_->name) + " image says that it has " + std::to_string(header_.width) +
                     "×" + std::to_string(header_.height) + " pixels; expected 1 to " + std::to_string(kMostPixels) +
                     " of them: make it smaller");
  }
}

void EncodedImage::decode(int shrink, Pixels& pixels) const {
  try {
    codec_->decode(bytes_, header_, shrink, pixels);
  } catch (const InputError& error) {
    throw InputError("the " + std::string(codec_->name) + " image " + error.what());
  }
}

}  // namespace lockstep

// Images as files hold them: JPEG, PNG and WebP.
//
// Sources: ITU-T T.81 (JPEG), annex B; the Adobe Photoshop TIFF technical notes' rule that such JPEGs of four channels
// hold inverted inks; W3C PNG, third edition; Google's WebP container specification.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/data/images/Orientation.h"
#include "engine/data/images/Pixels.h"

namespace lockstep {

/// What an image says of itself before its pixels.
struct ImageHeader {
  std::int64_t height = 0;  ///< as it is stored
  std::int64_t width = 0;
  int channels = 3;  ///< 1 for grey
  Orientation orientation{};
};

/// An image whose header has been read. The bytes must outlive it. What becomes of them:
///
/// - JPEG, sequential or progressive, of 8 bits: grey, RGB, YCbCr as libjpeg-turbo decodes them; CMYK and YCCK become
///   RGB, their inks taken as inverted, as Adobe writes them. Too many bytes between its parts or
///   in a scan are passed over, as Pillow does, and such damage is not noticed. Other damage, an end that is missing
///   above all, is an error.
/// - PNG: of a palette its colours; of 16 bits the upper 8; 1, 2 and 4 bits scaled to 8; interlaced or not.
/// - WebP, lossy or lossless. An animated one is an error.
///
/// Alpha is dropped, as are colour profiles and gamma. Errors do not say where the image lies.
class EncodedImage {
 public:
  /// Larger ones are refused before they take memory.
  static constexpr std::int64_t kMostPixels = std::int64_t{1} << 26;

  /// Throws InputError for other bytes, a header that is damaged, and more than kMostPixels.
  explicit EncodedImage(std::string_view bytes);

  const ImageHeader& header() const { return header_; }
  std::int64_t upright_height() const { return header_.orientation.swapped ? header_.width : header_.height; }
  std::int64_t upright_width() const { return header_.orientation.swapped ? header_.height : header_.width; }
  /// The pixels as they are stored; of a JPEG in sizes divided by `shrink`, 1, 2, 4 or 8, and rounded up, which takes
  /// less time. Throws InputError for an image that is not intact.
  void decode(int shrink, Pixels& pixels) const;
  /// Whether `decode` takes less time for less: of a JPEG.
  bool shrinks() const;

  /// Whether bytes begin as one of the three does.
  static bool begins(std::string_view bytes);

  struct Codec;

 private:
  std::string_view bytes_;
  const Codec* codec_;
  ImageHeader header_;
};

}  // namespace lockstep

// Random variation of pictures whose bytes are there.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/data/Draw.h"
#include "engine/data/Field.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// How samples are varied while training. What is cut out of encoded images is their data set's affair (ImageOptions).
struct Variation {
  std::uint64_t seed = 0;
  double flip = 0;           ///< probability of being mirrored left to right
  std::int64_t padding = 0;  ///< most pixels that a picture is shifted by, up or down and left or right
  // Each is multiplied by a number from 1 - this to 1 + this.
  double brightness = 0;
  double contrast = 0;
  double saturation = 0;

  bool jitters() const { return brightness > 0 || contrast > 0 || saturation > 0; }
  bool moves_pixels() const { return flip > 0 || padding > 0; }
  bool changes_pictures() const { return moves_pixels() || jitters(); }
};

Variation variation_of(const Hyperparameters& hyperparameters, std::uint64_t seed);

/// Whether a field holds bytes in rows and columns: of [rows, columns], or of [channels, rows, columns] with 1, 3 or 4
/// channels.
bool is_picture(const Field& field);

/// Shifts a picture by as many pixels as chance says, each from -padding to padding as likely, with zeros where nothing
/// was, then mirrors it, then changes brightness, contrast and saturation (adjust_colors): torchvision's RandomCrop of
/// its own size with padding, RandomHorizontalFlip, and ColorJitter in this order. All pictures of a sample are varied
/// alike.
void vary(std::byte* picture, const Field& field, const Variation& variation, std::int64_t epoch, std::int64_t sample);

/// Multiplies brightness, contrast and saturation by these, one after another, each rounded down to bytes 0 … 255:
/// value · b; mean grey · (1 - c) + value · c; grey · (1 - s) + value · s. Grey is 0.2989 red + 0.587 green + 0.114
/// blue, rounded down, of a picture of one channel the value itself. A fourth channel stays. Source: torchvision's
/// adjust_brightness, adjust_contrast and adjust_saturation of uint8 tensors.
void adjust_colors(std::byte* picture, const Field& field, double brightness, double contrast, double saturation);

}  // namespace lockstep

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

  bool changes_pictures() const { return flip > 0 || padding > 0; }
};

Variation variation_of(const Hyperparameters& hyperparameters, std::uint64_t seed);

/// Whether a field holds bytes in rows and columns: of [rows, columns], or of [channels, rows, columns] with 1, 3 or 4
/// channels.
bool is_picture(const Field& field);

/// Shifts a picture by as many pixels as chance says, each from -padding to padding as likely, with zeros where nothing
/// was, then mirrors it: torchvision's RandomCrop of its own size with padding, and RandomHorizontalFlip. All pictures
/// of a sample are varied alike.
void vary(std::byte* picture, const Field& field, const Variation& variation, std::int64_t epoch, std::int64_t sample);

}  // namespace lockstep

// Many small images as one, to look at.
#pragma once

#include <cstdint>
#include <filesystem>

#include "engine/data/Dataset.h"
#include "engine/data/images/Pixels.h"

namespace lockstep {

/// Up to `most` samples of a field of pictures (is_picture), spread evenly over the data set, side by side in rows from
/// the top left, with a white line between them. Larger ones are scaled to 128 pixels. Of four channels the last is
/// left out.
Pixels contact_sheet(const Dataset& dataset, std::size_t field, std::int64_t most = 64);

/// Writes an image as a PNG. Throws SystemError.
void write_png(const Pixels& pixels, const std::filesystem::path& path);

}  // namespace lockstep

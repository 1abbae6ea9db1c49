// Many small images as one, to look at.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/data/Dataset.h"
#include "engine/data/images/Pixels.h"

namespace lockstep {

/// The samples of a sheet: up to `most`, spread evenly over the data set.
std::vector<std::int64_t> sheet_samples(const Dataset& dataset, std::int64_t most);

/// How many pictures of a sheet lie side by side.
std::int64_t sheet_columns(std::size_t pictures);

/// Those samples of a field of pictures (is_picture) side by side in rows from the top left, with a white line between
/// them. Larger ones are scaled to 128 pixels. Of four channels the last is left out.
Pixels contact_sheet(const Dataset& dataset, std::size_t field, std::int64_t most = 64);

/// The bytes of a PNG. Throws SystemError.
std::string png_of(const Pixels& pixels);
/// Writes one. Throws SystemError.
void write_png(const Pixels& pixels, const std::filesystem::path& path);

}  // namespace lockstep

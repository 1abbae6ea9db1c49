// Lists of images and their labels.
//
// Source: MXNet's im2rec and SageMaker's image classification: a line for each image, of an index, a label or several,
// and the path of the image, between tabs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

struct ListedImage {
  std::int32_t label = 0;
  std::string path{};   ///< from where the list lies
  std::string place{};  ///< where it is said, for messages; "" when that is not known
  std::string fault{};  ///< why its line says nothing, and where; "": it does
};

/// The image of a line; a blank one has none. Throws InputError, which does not say where the line is, unless it has
/// three columns and its label is an integer ≥ 0.
std::optional<ListedImage> read_list_line(std::string_view line);

/// All images of a list. Throws InputError, naming file and line; of up to `most_bad` lines it is their fault
/// instead.
std::vector<ListedImage> read_image_list(const std::filesystem::path& path, std::int64_t most_bad = 0);

}  // namespace lockstep

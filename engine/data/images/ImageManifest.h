// SageMaker's augmented manifests of images.
//
// Source: SageMaker's developer guide, "Augmented manifest files": JSON lines, of which each has an image's address in
// S3 as "source-ref", a label, and for each label X what is said of it as "X-metadata".
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/images/ImageList.h"

namespace lockstep {

/// Whether a file of this name that begins so is one.
bool is_image_manifest(std::string_view name, std::string_view beginning);
bool is_image_manifest(const std::filesystem::path& path);  ///< by its name alone

/// All images of a manifest, whose paths are as it has them. `label`: the key of their labels; "": the only one that
/// there is. Throws InputError, naming file and line, for a line without an image or a label, and for a label that is
/// no integer ≥ 0, as a number or a text; of up to `most_bad` lines it is their fault instead.
std::vector<ListedImage> read_image_manifest(const std::filesystem::path& path, const std::string& label,
                                             std::int64_t most_bad = 0);

}  // namespace lockstep

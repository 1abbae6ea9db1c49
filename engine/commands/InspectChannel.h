// `lockstep inspect CHANNEL_DIRECTORY`: what a channel holds, and what training would make of it.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "job/FieldDescription.h"

namespace lockstep {

struct ChannelInspection {
  bool statistics = false;     ///< reads all samples: ranges, means, deviations, missing values, class counts
  std::string content_type{};  ///< as the hyperparameter `content_type`
  FieldDescriptions fields{};  ///< as the hyperparameter `fields`
  std::map<std::string, std::string> columns{};  ///< as the hyperparameter `columns`
  std::filesystem::path sheet{};                 ///< where an image of the channel's first images goes; "": nowhere
};

/// Throws InputError for what cannot be opened, and when there are no images for the sheet.
void inspect_channel(const std::filesystem::path& directory, const ChannelInspection& what);

}  // namespace lockstep

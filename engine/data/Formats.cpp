#include "engine/data/Formats.h"

#include <algorithm>
#include <map>
#include <optional>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/formats/IdxFormat.h"
#include "engine/data/formats/NpyFormat.h"
#include "engine/data/formats/NpzFormat.h"
#include "engine/data/formats/SafetensorsFormat.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

/// A file that may be of a format, or something else that messages name.
struct Found {
  std::vector<fs::path> files;
  std::vector<std::string> others;
};

Found find_files(const fs::path& directory) {
  Found found;
  try {
    for (const auto& entry : fs::directory_iterator(directory)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(".")) continue;
      std::error_code error;
      const fs::file_status what = entry.status(error);
      if (what.type() == fs::file_type::not_found && entry.is_symlink()) {
        found.others.push_back(name + " (a link whose target is not there)");
      }
      if (what.type() == fs::file_type::none) {
        throw InputError("cannot look at " + entry.path().string() + " in the channel directory: " + error.message());
      }
      if (fs::is_regular_file(what)) found.files.push_back(entry.path());
    }
  } catch (const fs::filesystem_error& error) {
    throw InputError("cannot read the channel directory " + directory.string() + ": " + error.code().message());
  }
  std::ranges::sort(found.files);
  return found;
}

}  // namespace

Formats Formats::builtin() {
  Formats formats;
  formats.add(idx_format());
  formats.add(npy_format());
  formats.add(npz_format());
  formats.add(safetensors_format());
  return formats;
}

std::unique_ptr<Dataset> Formats::open(const fs::path& directory) const {
  const Found found = find_files(directory);
  std::vector<std::size_t> format_of;  // by file; one beyond the last: none
  for (const fs::path& file : found.files) {
    const auto format = std::ranges::find_if(formats_, [&](const Format& row) { return row.recognises(file); });
    format_of.push_back(static_cast<std::size_t>(format - formats_.begin()));
  }
  const std::size_t chosen = format_of.empty() ? formats_.size() : std::ranges::min(format_of);
  ChannelFiles channel{.directory = directory, .files = {}, .others = found.others};
  for (std::size_t i = 0; i < found.files.size(); ++i) {
    if (format_of[i] == chosen && chosen < formats_.size()) {
      channel.files.push_back(found.files[i]);
    } else {
      channel.others.push_back(found.files[i].filename().string());
    }
  }
  std::ranges::sort(channel.others);
  if (chosen < formats_.size()) return formats_[chosen].open(channel);
  std::vector<std::string> absent;
  std::vector<std::string> wants;
  for (const Format& format : formats_) {
    absent.push_back("no " + format.name + " file");
    wants.push_back(format.wants);
  }
  throw InputError(channel.origin() + " must hold, " + join(wants, "; or ") + ". It holds " + join(absent, ", ") +
                   (channel.others.empty() ? "" : ", and other files: " + join(channel.others, ", ")));
}

}  // namespace lockstep

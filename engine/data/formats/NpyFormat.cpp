#include "engine/data/formats/NpyFormat.h"

#include <optional>
#include <string>

#include "engine/data/ArrayDataset.h"
#include "engine/data/NpyFile.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// The name of the field, or nothing for a file of another kind.
std::optional<std::string> field_name(const fs::path& file) {
  std::string name = file.filename().string();
  for (const std::string& end : {std::string(".npy"), std::string(".npy.gz")}) {
    if (name.ends_with(end) && name.size() > end.size()) return name.substr(0, name.size() - end.size());
  }
  return std::nullopt;
}

std::unique_ptr<Dataset> open(const ChannelFiles& channel) {
  std::vector<Array> arrays;
  for (const fs::path& file : channel.files) {
    arrays.push_back(read_npy(*open_input_file(file), field_name(file).value()));
  }
  return std::make_unique<ArrayDataset>(channel.origin(), std::move(arrays));
}

}  // namespace

Format npy_format() {
  return {.name = "npy",
          .wants = "arrays by name as .npy files, such as x.npy and y.npy",
          .recognises = [](const fs::path& file) { return field_name(file).has_value(); },
          .open = open};
}

}  // namespace lockstep

#include "engine/data/formats/NpyFormat.h"

#include <string>
#include <string_view>

#include "engine/data/ArrayDataset.h"
#include "engine/data/NpyFile.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kEnd = ".npy";

std::unique_ptr<Dataset> open(const ChannelFiles& channel) {
  std::vector<Array> arrays;
  for (const fs::path& file : channel.files) {
    const std::string name = content_name(file.filename().string());
    arrays.push_back(read_npy(*open_input_file(file), name.substr(0, name.size() - kEnd.size())));
  }
  return std::make_unique<ArrayDataset>(channel.origin(), std::move(arrays));
}

}  // namespace

Format npy_format() {
  return {.name = "npy",
          .wants = "arrays by name as .npy files, such as x.npy and y.npy",
          .recognises = [](const FileHead& head) { return fs::path(head.name).extension() == kEnd; },
          .open = open};
}

}  // namespace lockstep

#include "engine/data/formats/NpyFormat.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/data/ArrayDataset.h"
#include "engine/data/FileDataset.h"
#include "engine/data/NpyFile.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kEnd = ".npy";

std::string field_name(const fs::path& file) {
  const std::string name = content_name(file.filename().string());
  return name.substr(0, name.size() - kEnd.size());
}

std::unique_ptr<Dataset> open_in_files(const ChannelFiles& channel) {
  std::vector<FileField> fields;
  for (std::size_t i = 0; i < channel.files.size(); ++i) {
    const fs::path& path = channel.files[i];
    const std::unique_ptr<InputFile> file = open_input_file(path);
    const NpyHeader header = read_npy_header(*file);
    Field field =
        field_of_array({.name = field_name(path), .type = header.type, .origin = path.string()}, header.sizes);
    const std::size_t stride = field.bytes();
    fields.push_back({.field = std::move(field),
                      .stride = stride,
                      .swapped = header.big_endian,
                      .parts = {{.file = i, .offset = file->offset(), .samples = header.sizes[0]}}});
  }
  return std::make_unique<FileDataset>(channel.origin(), open_random_access(channel.files), std::move(fields));
}

std::unique_ptr<Dataset> open(const ChannelFiles& channel) {
  if (stays_in_files(channel)) return open_in_files(channel);
  std::vector<Array> arrays;
  for (const fs::path& file : channel.files) arrays.push_back(read_npy(*open_input_file(file), field_name(file)));
  return std::make_unique<ArrayDataset>(channel.origin(), std::move(arrays));
}

}  // namespace

Format npy_format() {
  return {.name = "npy",
          .recognises = [](const FileHead& head) { return fs::path(head.name).extension() == kEnd; },
          .open = open};
}

}  // namespace lockstep

#include "engine/data/formats/SafetensorsFormat.h"

#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/data/ArrayDataset.h"
#include "engine/data/FileDataset.h"
#include "engine/files/SafetensorsFile.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// The file is as large: SafetensorsFile has compared the two.
std::vector<std::uint8_t> memory_for(const std::string& name, std::uint64_t count) {
  try {
    return std::vector<std::uint8_t>(count);
  } catch (const std::bad_alloc&) {
    throw InputError(name + " does not fit in memory: it has " + std::to_string(count) + " bytes");
  }
}

std::unique_ptr<Dataset> open_in_files(const ChannelFiles& channel) {
  std::vector<FileField> fields;
  for (std::size_t i = 0; i < channel.files.size(); ++i) {
    const fs::path& path = channel.files[i];
    const SafetensorsFile file(path);
    for (const auto& [name, entry] : file.entries()) {
      Field field =
          field_of_array({.name = name, .type = entry.type, .origin = path.string() + " (" + name + ")"}, entry.sizes);
      const std::size_t stride = field.bytes();
      fields.push_back({.field = std::move(field),
                        .stride = stride,
                        .parts = {{.file = i, .offset = file.data_start() + entry.begin, .samples = entry.sizes[0]}}});
    }
  }
  return std::make_unique<FileDataset>(channel.origin(), open_random_access(channel.files), std::move(fields));
}

std::unique_ptr<Dataset> open(const ChannelFiles& channel) {
  if (stays_in_files(channel)) return open_in_files(channel);
  std::vector<Array> arrays;
  for (const fs::path& path : channel.files) {
    const SafetensorsFile file(path);
    for (const auto& [name, entry] : file.entries()) {
      const std::string origin = path.string() + " (" + name + ")";
      std::vector<std::uint8_t> bytes = memory_for(origin, entry.end - entry.begin);
      file.read(name, std::as_writable_bytes(std::span(bytes)));
      arrays.push_back(make_array({.name = name, .type = entry.type, .origin = origin}, entry.sizes, std::move(bytes)));
    }
  }
  return std::make_unique<ArrayDataset>(channel.origin(), std::move(arrays));
}

}  // namespace

Format safetensors_format() {
  return {.name = "safetensors",
          .recognises = [](const FileHead& head) { return fs::path(head.name).extension() == ".safetensors"; },
          .open = open};
}

}  // namespace lockstep

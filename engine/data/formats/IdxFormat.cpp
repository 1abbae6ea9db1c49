#include "engine/data/formats/IdxFormat.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/ArrayDataset.h"
#include "engine/data/FileDataset.h"
#include "engine/data/IdxFile.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

constexpr const char* kWants =
    "one IDX file of inputs (for images it begins with the bytes 00 00 08 03) and one of targets (for "
    "labels 00 00 08 01), which has fewer dimensions or \"targets\" or \"labels\" in its name";

using Found = std::pair<fs::path, IdxHeader>;

std::string describe(const Found& file) {
  return file.first.filename().string() + " (" + file.second.dimensions_text() + ")";
}

bool named_targets(const Found& file) {
  std::string name = file.first.filename().string();
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name.find("targets") != std::string::npos || name.find("labels") != std::string::npos;
}

/// The channel's two IDX files, inputs first.
std::pair<Found, Found> find_arrays(const ChannelFiles& channel) {
  std::vector<Found> found;
  for (const fs::path& file : channel.files) {
    if (const auto header = read_idx_header(file)) found.emplace_back(file, *header);
  }
  if (found.size() == 2) {
    // Of inputs, less than of targets.
    const auto rank = [](const Found& file) {
      return std::pair(named_targets(file), -static_cast<int>(file.second.dimensions.size()));
    };
    if (rank(found[0]) < rank(found[1])) return {found[0], found[1]};
    if (rank(found[1]) < rank(found[0])) return {found[1], found[0]};
  }
  std::vector<std::string> names(found.size());
  std::ranges::transform(found, names.begin(), describe);
  throw InputError(channel.origin() + " must hold, " + kWants + "; it holds " + join(names, ", ") +
                   (channel.passed_over.none() ? "" : " and " + channel.passed_over.text()));
}

// The digest is that of the file's own bytes: checkpoints hold it.
Array read_array(const Found& file, const char* name, Digest& digest) {
  IdxArray stored = read_idx(file.first);
  const IdxHeader& header = stored.header;
  digest.update(format("%d", static_cast<int>(header.type)));
  digest.update(std::as_bytes(std::span(header.dimensions)));
  digest.update(std::as_bytes(std::span(stored.bytes)));
  swap_bytes(stored.bytes, size_of(header.element_type()));
  return make_array({.name = name, .type = header.element_type(), .origin = file.first.string()}, header.dimensions,
                    std::move(stored.bytes));
}

// Pictures without channels have one.
void add_channel(Field& inputs) {
  if (inputs.sizes.size() == 2) inputs.sizes.insert(inputs.sizes.begin(), 1);
}

FileField field_in(const Found& file, const char* name, std::size_t index) {
  const IdxHeader& header = file.second;
  Field field =
      field_of_array({.name = name, .type = header.element_type(), .origin = file.first.string()}, header.dimensions);
  const std::size_t stride = field.bytes();
  return {.field = std::move(field),
          .stride = stride,
          .swapped = true,
          .parts = {{.file = index, .offset = header.size(), .samples = header.dimensions[0]}}};
}

std::unique_ptr<Dataset> open_in_files(const ChannelFiles& channel, const Found& inputs, const Found& targets) {
  std::vector<FileField> fields = {field_in(inputs, "inputs", 0), field_in(targets, "targets", 1)};
  add_channel(fields[0].field);
  return std::make_unique<FileDataset>(channel.origin(), open_random_access({inputs.first, targets.first}),
                                       std::move(fields));
}

std::unique_ptr<Dataset> open(const ChannelFiles& channel) {
  const auto [inputs, targets] = find_arrays(channel);
  const std::int64_t size = inputs.second.dimensions[0];
  if (size != targets.second.dimensions[0]) {
    throw InputError(channel.origin() + " must hold one target for each sample; " + describe(inputs) + " has " +
                     std::to_string(size) + " samples and " + describe(targets) + " " +
                     std::to_string(targets.second.dimensions[0]) + " targets");
  }
  if (inputs.second.elements() == 0 || targets.second.elements() == 0) {
    throw InputError(channel.origin() + " holds no data: " + describe(inputs) + ", " + describe(targets));
  }
  if (stays_in_files(channel)) return open_in_files(channel, inputs, targets);
  Digest digest;
  std::vector<Array> arrays;
  arrays.push_back(read_array(inputs, "inputs", digest));
  arrays.push_back(read_array(targets, "targets", digest));
  add_channel(arrays[0].field);
  return std::make_unique<ArrayDataset>(channel.origin(), std::move(arrays), digest.hex());
}

}  // namespace

Format idx_format() {
  return {.name = "IDX", .recognises = [](const FileHead& head) { return begins_idx(head.bytes); }, .open = open};
}

}  // namespace lockstep

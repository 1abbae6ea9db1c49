#include "engine/data/Formats.h"

#include <algorithm>
#include <array>
#include <map>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/formats/ArrowFormat.h"
#include "engine/data/formats/CifarFormat.h"
#include "engine/data/formats/CsvFormat.h"
#include "engine/data/formats/IdxFormat.h"
#include "engine/data/formats/ImageFolderFormat.h"
#include "engine/data/formats/ImageRecordIoFormat.h"
#include "engine/data/formats/JsonLinesFormat.h"
#include "engine/data/formats/NpyFormat.h"
#include "engine/data/formats/NpzFormat.h"
#include "engine/data/formats/ParquetFormat.h"
#include "engine/data/formats/RecordIoFormat.h"
#include "engine/data/formats/SafetensorsFormat.h"
#include "engine/data/formats/TfRecordFormat.h"
#include "engine/data/formats/TokenFormat.h"
#include "engine/data/formats/WebDatasetFormat.h"
#include "engine/files/InputFile.h"
#include "job/ContentType.h"

namespace lockstep {

namespace fs = std::filesystem;

bool FileHead::starts_with(std::string_view magic) const {
  return bytes.size() >= magic.size() &&
         std::ranges::equal(magic, bytes.first(magic.size()),
                            [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

bool FileHead::is_said_to_be(std::string_view content_type) const {
  constexpr std::array kBeside = {".manifest", ".json", ".md", ".html", ".pdf", ".yaml", ".yml"};
  const fs::path file = fs::path(name).filename();
  const std::string stem = file.stem().string();
  return parse_content_type(options.content_type).type == content_type && stem != "README" && stem != "LICENSE" &&
         std::ranges::find(kBeside, file.extension().string()) == kBeside.end();
}

Formats Formats::builtin() {
  Formats formats;
  formats.add(cifar_format());
  formats.add(csv_format());
  formats.add(json_lines_format());
  formats.add(parquet_format());
  formats.add(arrow_format());
  // Before IDX, whose magic number the length of a large record may have.
  formats.add(tf_record_format());
  formats.add(image_recordio_format());
  formats.add(recordio_format());
  formats.add(image_folder_format());
  formats.add(webdataset_format());
  formats.add(idx_format());
  formats.add(npy_format());
  formats.add(npz_format());
  formats.add(safetensors_format());
  formats.add(token_format());  // the last: it takes what ends with .bin
  return formats;
}

namespace {

// What is said of columns, and of no file, is said of the channel.
std::unique_ptr<Dataset> open_as(const Format& format, const ChannelFiles& channel) {
  try {
    return format.open(channel);
  } catch (const InputError& error) {
    const std::string text = error.what();
    if (text.find(channel.directory.string()) != std::string::npos) throw;
    throw InputError(channel.origin() + ": " + text);
  }
}

}  // namespace

OpenedChannel Formats::open(const fs::path& directory, const ChannelOptions& options) const {
  ChannelFiles channel = list_channel(directory);
  channel.options = options;
  std::map<std::size_t, std::vector<fs::path>> recognised;  // by format
  std::array<std::uint8_t, FileHead::kBytes> memory;
  for (const fs::path& file : channel.files) {
    const std::string within = file.lexically_relative(directory).string();
    const std::unique_ptr<InputFile> content = open_input_file(file);
    const std::size_t count = content->read(memory.data(), memory.size());
    const FileHead head = {
        .path = file, .name = content_name(within), .bytes = std::span(memory).first(count), .options = options};
    const auto format = std::ranges::find_if(formats_, [&](const Format& row) { return row.recognises(head); });
    if (format == formats_.end()) {
      channel.passed_over.names.push_back(within);
    } else {
      recognised[static_cast<std::size_t>(format - formats_.begin())].push_back(file);
    }
  }
  std::ranges::sort(channel.passed_over.names);
  if (recognised.empty()) {
    std::vector<std::string> known;
    for (const Format& format : formats_) known.push_back(format.name);
    throw InputError(
        channel.origin() + " holds no data" +
        (channel.passed_over.none() ? ": it is empty" : ", but " + channel.passed_over.text()) +
        ". It must hold files of one of these formats, which docs/data.md describes: " + join(known, ", "));
  }
  if (recognised.size() > 1) {
    std::vector<std::string> parts;
    for (const auto& [format, files] : recognised) {
      parts.push_back(std::to_string(files.size()) + " of " + formats_[format].name + " (" +
                      files.front().lexically_relative(directory).string() + (files.size() > 1 ? ", …)" : ")"));
    }
    throw InputError(channel.origin() + " must hold files of one format; it holds " + join(parts, " and ") +
                     ": move those of one format to another directory");
  }
  auto& [format, files] = *recognised.begin();
  channel.files = std::move(files);
  return {.dataset = open_as(formats_[format], channel),
          .format = formats_[format].name,
          .files = channel.files.size(),
          .without_index = !formats_[format].keeps_index,
          .passed_over = channel.passed_over};
}

}  // namespace lockstep

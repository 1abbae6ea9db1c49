#include "engine/data/images/ImageManifest.h"

#include <simdjson.h>

#include <cmath>
#include <optional>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/table/TableColumns.h"
#include "engine/data/table/TextRecords.h"
#include "engine/files/InputFile.h"

namespace lockstep {

namespace {

namespace dom = simdjson::dom;

constexpr std::string_view kImage = "source-ref";
constexpr std::string_view kAbout = "-metadata";
constexpr double kMostClass = 1 << 30;

std::int32_t label_of(dom::element value) {
  std::string_view text;
  double number = -1;
  if (value.get(text) == simdjson::SUCCESS) {
    number = real_of(text).value_or(-1);
  } else if (value.get(number) != simdjson::SUCCESS) {
    number = -1;
  }
  if (!(number >= 0 && number <= kMostClass) || std::trunc(number) != number) {
    throw InputError("the label is " + in_quotes(simdjson::to_string(value)) + "; expected an integer ≥ 0");
  }
  return static_cast<std::int32_t>(number);
}

ListedImage read_line(std::string_view line, const std::string& label) {
  thread_local dom::parser parser;
  dom::object object;
  if (parser.parse(line.data(), line.size()).get(object) != simdjson::SUCCESS) {
    throw InputError("expected an object of JSON, as in an augmented manifest");
  }
  ListedImage image;
  std::vector<std::string> labels;
  for (const auto [key, value] : object) {
    if (key == kImage) {
      std::string_view path;
      if (value.get(path) != simdjson::SUCCESS) throw InputError("its source-ref is no text");
      image.path = path;
    } else if (label.empty() ? !key.ends_with(kAbout) : key == label) {
      labels.emplace_back(key);
      if (labels.size() == 1) image.label = label_of(value);
    }
  }
  if (image.path.empty()) throw InputError("it has no source-ref, as an augmented manifest has");
  if (labels.empty()) {
    throw InputError(std::string("it has no label") + (label.empty() ? "" : ", which should be " + in_quotes(label)));
  }
  if (labels.size() > 1) {
    throw InputError("it has " + join(labels, " and ") + ": say with columns=target=NAME which is the label");
  }
  return image;
}

}  // namespace

bool is_image_manifest(const std::filesystem::path& path) {
  const std::string kind = std::filesystem::path(content_name(path.filename().string())).extension().string();
  return kind == ".manifest" || kind == ".jsonl" || kind == ".ndjson";
}

bool is_image_manifest(std::string_view name, std::string_view beginning) {
  if (beginning.starts_with(kByteOrderMark)) beginning.remove_prefix(kByteOrderMark.size());
  const std::string_view line = beginning.substr(0, beginning.find('\n'));
  return is_image_manifest(std::filesystem::path(name)) && line.starts_with('{') &&
         line.find("\"" + std::string(kImage) + "\"") != std::string_view::npos;
}

std::vector<ListedImage> read_image_manifest(const std::filesystem::path& path, const std::string& label,
                                             std::int64_t most_bad) {
  const auto file = open_input_file(path);
  TextRecords records(*file, [](std::string_view text) { return text.find('\n'); });
  std::vector<ListedImage> images;
  while (records.next()) {
    try {
      images.push_back(read_line(records.text(), label));
      images.back().place = records.place();
    } catch (const InputError& error) {
      const std::string fault = records.place() + ": " + error.what();
      if (most_bad-- == 0) throw InputError(fault);
      images.push_back({.place = records.place(), .fault = fault});
    }
  }
  return images;
}

}  // namespace lockstep

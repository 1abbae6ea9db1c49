#include "engine/data/images/ImageList.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/files/InputFile.h"

namespace lockstep {

namespace {

constexpr double kMostLabel = 1 << 30;

std::int32_t label_of(std::string_view text) {
  double label = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), label);
  if (error != std::errc() || end != text.data() + text.size() || !(label >= 0 && label <= kMostLabel) ||
      std::trunc(label) != label) {
    throw InputError("the label is " + in_quotes(text) + "; expected an integer ≥ 0");
  }
  return static_cast<std::int32_t>(label);
}

}  // namespace

std::optional<ListedImage> read_list_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) return std::nullopt;
  const std::size_t first = line.find('\t');
  const std::size_t last = line.rfind('\t');
  if (std::ranges::count(line, '\t') != 2) {
    throw InputError("expected an index, a label and a path between tabs; found " +
                     std::to_string(std::ranges::count(line, '\t') + 1) + " columns");
  }
  return ListedImage{.label = label_of(line.substr(first + 1, last - first - 1)),
                     .path = std::string(line.substr(last + 1))};
}

std::vector<ListedImage> read_image_list(const std::filesystem::path& path, std::int64_t most_bad) {
  const std::vector<std::uint8_t> bytes = read_all(*open_input_file(path));
  std::string_view left(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<ListedImage> images;
  for (std::size_t line = 1; !left.empty(); ++line) {
    const std::size_t end = std::min(left.find('\n'), left.size());
    const std::string place = path.string() + ", line " + std::to_string(line);
    try {
      if (auto image = read_list_line(left.substr(0, end))) {
        images.push_back(std::move(*image));
        images.back().place = place;
      }
    } catch (const InputError& error) {
      if (most_bad-- == 0) throw InputError(place + ": " + error.what());
      images.push_back({.place = place, .fault = place + ": " + error.what()});
    }
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return images;
}

}  // namespace lockstep

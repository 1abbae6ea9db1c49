#include "engine/session/ShownImages.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Variation.h"
#include "engine/data/images/ContactSheet.h"

namespace lockstep {

namespace {

// As many as make some 100 kB at most.
constexpr std::int64_t kSmall = 64;  // pixels of a side
constexpr std::int64_t kMostSmall = 16;
constexpr std::int64_t kMostLarge = 9;

std::string class_of(const ProgramSamples& samples, std::int64_t sample) {
  if (!samples.class_labels() || count_of(samples.target().sizes) != 1) return "";
  const double label = samples.numbers(samples.target(), sample).front();
  const auto& names = samples.dataset()->spec().fields[samples.target().field].categories;
  const auto number = static_cast<std::size_t>(label);
  return number < names.size() ? names[number] : format("%g", label);
}

}  // namespace

std::optional<ImagesShown> images_to_show(const JobData& data) {
  const ProgramSamples& samples = *data.training().samples;
  const Dataset& dataset = *samples.dataset();
  for (std::size_t i = 0; i < samples.inputs(); ++i) {
    const std::size_t field = samples.input(i).field;
    const Field& picture = dataset.spec().fields[field];
    if (!is_picture(picture)) continue;
    const bool small = std::max(picture.sizes.back(), picture.sizes[picture.sizes.size() - 2]) <= kSmall;
    const std::int64_t most = small ? kMostSmall : kMostLarge;
    try {
      const std::vector<std::int64_t> shown = sheet_samples(dataset, most);
      if (shown.empty()) return std::nullopt;
      ImagesShown images = {.channel = data.train, .columns = sheet_columns(shown.size())};
      for (const std::int64_t sample : shown) images.labels.push_back(class_of(samples, sample));
      images.png = png_of(contact_sheet(dataset, field, most));
      return images;
    } catch (const InputError&) {  // a sample that is skipped, or told of when training comes to it
      return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace lockstep

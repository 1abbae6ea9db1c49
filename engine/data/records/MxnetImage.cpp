#include "engine/data/records/MxnetImage.h"

#include <cmath>
#include <cstddef>
#include <string>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/records/ImageMagic.h"
#include "engine/files/NumberAt.h"

namespace lockstep {

namespace {

constexpr std::size_t kHeader = 24;
constexpr float kMostLabel = 1 << 24;  // up to there float32 has all integers

std::uint32_t labels_of(std::string_view data) { return number_at<std::uint32_t>(data.data()); }
std::uint64_t image_at(std::string_view data) { return kHeader + std::uint64_t{labels_of(data)} * sizeof(float); }

[[noreturn]] void refuse(std::string_view data) {
  throw InputError("expected an image, as MXNet packs them; found " + std::to_string(data.size()) + " bytes");
}

}  // namespace

bool begins_mxnet_image(std::string_view data) {
  return data.size() >= kHeader && image_at(data) < data.size() && begins_image(data.substr(image_at(data)));
}

std::int32_t mxnet_label(std::string_view data) {
  if (data.size() >= kHeader && labels_of(data) > 1) {
    throw InputError("its image has " + std::to_string(labels_of(data)) + " labels; expected one");
  }
  if (data.size() < kHeader || data.size() < image_at(data)) refuse(data);
  const auto label = number_at<float>(data.data() + (labels_of(data) == 1 ? kHeader : sizeof(std::uint32_t)));
  if (!(label >= 0 && label <= kMostLabel) || std::trunc(label) != label) {
    throw InputError("its image has the label " + format("%g", static_cast<double>(label)) +
                     "; expected an integer ≥ 0");
  }
  return static_cast<std::int32_t>(label);
}

std::string_view mxnet_image(std::string_view data) {
  if (data.size() < kHeader || data.size() <= image_at(data)) refuse(data);
  return data.substr(image_at(data));
}

}  // namespace lockstep

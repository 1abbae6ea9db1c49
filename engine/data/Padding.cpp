#include "engine/data/Padding.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Transform.h"

namespace lockstep {

namespace {

constexpr std::size_t kMostBytes = 8;  // of an element

// Every type has a zero; other values where it holds them.
std::array<std::byte, kMostBytes> element_of(const Field& field) {
  const double value = field.reading.pad.value;
  alignas(8) std::array<std::byte, kMostBytes> element{};
  if (value == 0) return element;
  if (is_real(field.type)) {
    if (Transform::possible(ElementType::kDouble, field.type)) {
      Transform(ElementType::kDouble, field.type, false)
          .run(reinterpret_cast<const std::byte*>(&value), 1, element.data());
      return element;
    }
  } else if (std::trunc(value) == value) {
    const IntegerLimits limits = limits_of(field.type);
    if (value >= static_cast<double>(limits.least) && value <= static_cast<double>(limits.most) && value < 0x1p63) {
      const auto whole = static_cast<std::int64_t>(value);
      Transform(ElementType::kInt64, field.type, false)
          .run(reinterpret_cast<const std::byte*>(&whole), 1, element.data());
      return element;
    }
  }
  throw InputError("column " + field.name + " holds " + to_string(field.type) + ", which is not padded with " +
                   format("%g", value));
}

}  // namespace

void check_padding(const Field& padded) { element_of(padded); }

Field mask_of(const Field& padded) {
  return {.name = padded.reading.pad.mask,
          .type = ElementType::kBool,
          .sizes = {padded.reading.pad.length},
          .bound = 2,
          .large = padded.large,
          .origin = padded.origin};
}

void check_length(const Field& padded, std::int64_t count) {
  const Padding& pad = padded.reading.pad;
  if (count <= pad.length || pad.cut) return;
  throw InputError("column " + padded.name + " holds a list of " + std::to_string(count) +
                   " numbers, and is padded to " + std::to_string(pad.length) +
                   R"(: give a larger "length", or "cut": true)");
}

void write_padded(const Field& padded, const std::byte* numbers, std::int64_t count, std::byte* out, std::byte* mask) {
  check_length(padded, count);
  const std::int64_t length = padded.reading.pad.length;
  const auto there = static_cast<std::size_t>(std::min(count, length));
  const auto missing = static_cast<std::size_t>(length) - there;
  if (out != nullptr) {
    const std::size_t width = size_of(padded.type);
    if (there > 0) std::memcpy(out, numbers, there * width);
    const std::array<std::byte, kMostBytes> element = element_of(padded);
    for (std::size_t i = 0; i < missing; ++i) std::memcpy(out + (there + i) * width, element.data(), width);
  }
  if (mask == nullptr) return;
  std::fill_n(mask, there, std::byte{1});
  std::fill_n(mask + there, missing, std::byte{0});
}

std::size_t count_masks(const std::vector<Field>& fields) {
  return static_cast<std::size_t>(
      std::ranges::count_if(fields, [](const Field& field) { return !field.reading.pad.mask.empty(); }));
}

}  // namespace lockstep

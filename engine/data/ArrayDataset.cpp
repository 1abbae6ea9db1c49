#include "engine/data/ArrayDataset.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/Prefetch.h"
#include "common/Text.h"

namespace lockstep {

namespace {

std::string digest_of(const std::vector<Array>& arrays) {
  Digest digest;
  for (const Array& array : arrays) {
    digest.update(array.field.name);
    digest.update(to_string(array.field.type));
    digest.update(std::as_bytes(std::span(&array.samples, 1)));
    digest.update(std::as_bytes(std::span(array.field.sizes)));
    digest.update(std::as_bytes(std::span(array.bytes)));
  }
  return digest.hex();
}

}  // namespace

Field field_of_array(Field field, const std::vector<std::int64_t>& sizes) {
  if (sizes.empty()) {
    throw InputError(field.origin + " holds a single number; the first dimension of an array counts samples");
  }
  field.sizes.assign(sizes.begin() + 1, sizes.end());
  return field;
}

SampleSpec spec_of_arrays(const std::string& origin, std::vector<std::pair<Field, std::int64_t>> arrays) {
  if (arrays.empty()) throw InputError(origin + " holds no array");
  SampleSpec spec;
  const std::int64_t size = arrays.front().second;
  for (auto& [field, samples] : arrays) {
    if (const auto other = spec.find(field.name)) {
      throw InputError(origin + " holds two arrays of the name " + in_quotes(field.name) + ": " +
                       spec.fields[*other].origin + " and " + field.origin + "; rename or remove one");
    }
    if (samples != size) {
      throw InputError(origin + " must hold as many samples in each array; " + spec.fields.front().origin + " has " +
                       std::to_string(size) + " and " + field.origin + " " + std::to_string(samples));
    }
    if (size == 0 || field.numbers() == 0) {
      throw InputError(origin + " holds no data: " + field.origin + " has " + std::to_string(size) + " samples of [" +
                       join(field.sizes, ", ") + "]");
    }
    spec.fields.push_back(std::move(field));
  }
  return spec;
}

void make_bools(std::span<std::uint8_t> bytes) {
  for (std::uint8_t& byte : bytes) byte = byte != 0 ? 1 : 0;
}

Array make_array(Field field, std::vector<std::int64_t> sizes, std::vector<std::uint8_t> bytes) {
  field = field_of_array(std::move(field), sizes);
  if (field.type == ElementType::kBool) make_bools(bytes);
  return {.field = std::move(field), .samples = sizes.front(), .bytes = std::move(bytes)};
}

void swap_bytes(std::span<std::uint8_t> bytes, std::size_t width) {
  if (width == 1) return;
  for (std::size_t i = 0; i < bytes.size(); i += width) std::ranges::reverse(bytes.subspan(i, width));
}

ArrayDataset::ArrayDataset(const std::string& origin, std::vector<Array> arrays, std::string digest)
    : digest_(digest.empty() ? digest_of(arrays) : std::move(digest)) {
  std::vector<std::pair<Field, std::int64_t>> fields;
  for (Array& array : arrays) {
    fields.emplace_back(std::move(array.field), array.samples);
    bytes_.push_back(std::move(array.bytes));
  }
  spec_ = spec_of_arrays(origin, std::move(fields));
  size_ = arrays.front().samples;
  for (std::size_t i = 0; i < bytes_.size(); ++i) {
    if (bytes_[i].size() != static_cast<std::size_t>(size_) * spec_.fields[i].bytes()) {
      throw InternalError("an array has other bytes than its sizes say");
    }
  }
}

void ArrayDataset::read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    std::byte* out = fields[i];
    if (out == nullptr) continue;
    const std::size_t bytes = spec_.fields[i].bytes();
    const auto stored = [&](std::size_t at) {
      return bytes_[i].data() + static_cast<std::size_t>(samples[at]) * bytes;
    };
    for (std::size_t at = 0; at < samples.size(); ++at) {
      if (at + kSamplesAhead < samples.size()) prefetch(stored(at + kSamplesAhead), bytes);
      std::memcpy(out + at * bytes, stored(at), bytes);
    }
  }
}

}  // namespace lockstep

#include "engine/data/MixedDataset.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/Digest.h"
#include "common/Error.h"
#include "common/SplitMix.h"
#include "common/Text.h"
#include "engine/data/Columns.h"
#include "engine/data/CommonFields.h"

namespace lockstep {

namespace {

// As many of each part that they are in proportion and none has fewer than it has samples.
Shards shares_of(const std::vector<MixturePart>& parts) {
  double scale = 0;  // samples of the mixture that have a share of 1
  for (const MixturePart& part : parts) {
    if (part.dataset->shards() != nullptr) {
      throw InputError("channel " + part.channel +
                       " is part of a mixture, and each host has files of its own of it (sharded): give all hosts the "
                       "same files of the channels that are mixed");
    }
    scale = std::max(scale, static_cast<double>(part.dataset->size()) / part.share);
  }
  std::vector<Shards::Holding> holdings;
  double samples = 0;
  for (const MixturePart& part : parts) {
    samples += part.share * scale;
    if (samples > static_cast<double>(MixedDataset::kMostSamples)) {
      throw InputError("the mixture's shares are so unequal that each sample of channel " + part.channel +
                       " comes once in more than 2^40 samples");
    }
    holdings.push_back({.host = static_cast<int>(holdings.size()),
                        .samples = std::max<std::int64_t>(part.dataset->size(), std::llround(part.share * scale))});
  }
  return Shards(holdings);
}

SampleSpec spec_of(const std::vector<MixturePart>& parts) {
  SampleSpec spec = parts.at(0).dataset->spec();
  for (const MixturePart& part : parts) {
    SampleSpec other = part.dataset->spec();
    for (std::size_t i = 0; i < std::min(spec.fields.size(), other.fields.size()); ++i) {
      Field& field = spec.fields[i];
      if (!field.fault) field.fault = other.fields[i].fault;
      if (!field.fault) continue;
      field.refuse(*field.fault);
      other.fields[i].refuse(*field.fault);
    }
    if (!same_fields(spec, other)) {
      throw InputError("the channels of the mixture do not have the same fields: " + parts[0].channel + " has " +
                       describe(spec) + ", " + part.channel + " has " + describe(other));
    }
    for (std::size_t i = 0; i < spec.fields.size(); ++i) {
      Field& field = spec.fields[i];
      const std::int64_t bound = other.fields[i].bound;
      field.bound = field.bound == 0 || bound == 0 ? 0 : std::max(field.bound, bound);
      field.large = field.large || other.fields[i].large;
    }
  }
  return spec;
}

}  // namespace

MixedDataset::MixedDataset(std::vector<MixturePart> parts)
    : parts_(std::move(parts)), shares_(shares_of(parts_)), spec_(spec_of(parts_)) {
  Digest digest;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    digest.update(parts_[i].dataset->digest() + " " + std::to_string(shares_.samples_of(i)) + ",");
  }
  digest_ = digest.hex();
}

MixedDataset::Found MixedDataset::find(std::int64_t sample) const {
  for (std::size_t i = 0;; ++i) {
    const Slice part = shares_.part(i, {sample, sample + 1});
    if (part.size() == 0) continue;
    const std::int64_t size = parts_[i].dataset->size();
    return {.dataset = parts_[i].dataset.get(), .sample = part.begin % size, .time = part.begin / size};
  }
}

std::string MixedDataset::place(std::size_t field, std::int64_t sample) const {
  const Found found = find(sample);
  return found.dataset->place(field, found.sample);
}

std::string MixedDataset::note() const {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const auto& [channel, share, dataset] = parts_[i];
    const auto times = static_cast<double>(shares_.samples_of(i)) / static_cast<double>(dataset->size());
    texts.push_back(channel + ", whose " + with_commas(dataset->size()) + " samples come " + format("%.3g", times) +
                    (times == 1 ? " time" : " times"));
    if (const std::string note = dataset->note(); !note.empty()) texts.back() += " (" + note + ")";
  }
  return "an epoch is mixed from " + join(texts, "; ");
}

bool MixedDataset::crops() const {
  return std::ranges::any_of(parts_, [](const MixturePart& part) { return part.dataset->crops(); });
}

template <typename Read>
void MixedDataset::read_each(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                             const Read& read) const {
  std::vector<std::byte*> places(fields.begin(), fields.end());
  for (const std::int64_t sample : samples) {
    read(find(sample), places);
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (places[i] != nullptr) places[i] += spec_.fields[i].bytes();
    }
  }
}

void MixedDataset::read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const {
  read_each(samples, fields, [](const Found& found, std::span<std::byte* const> places) {
    found.dataset->read({&found.sample, 1}, places);
  });
}

void MixedDataset::read_varied(std::span<const std::int64_t> samples, std::span<std::byte* const> fields,
                               const Draw& draw) const {
  read_each(samples, fields, [&](const Found& found, std::span<std::byte* const> places) {
    Draw own = draw;
    if (found.time > 0) own.seed = splitmix(draw.seed + static_cast<std::uint64_t>(found.time));
    found.dataset->read_varied({&found.sample, 1}, places, own);
  });
}

}  // namespace lockstep

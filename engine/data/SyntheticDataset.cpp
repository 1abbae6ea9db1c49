#include "engine/data/SyntheticDataset.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/Error.h"
#include "common/SplitMix.h"
#include "common/Text.h"

namespace lockstep {

namespace {

constexpr std::uint64_t kRow = 1 << 20;

double nearly_normal(std::uint64_t word) {
  static const double deviation = std::sqrt(4294967295.0 / 3);
  const std::uint64_t sum = (word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48);
  return (static_cast<double>(sum) - 131070) / deviation;
}

}  // namespace

SyntheticDataset::SyntheticDataset(SampleSpec spec, std::int64_t size, std::uint64_t seed)
    : spec_(std::move(spec)), size_(size), seed_(seed), values_(splitmix(seed)), starts_(splitmix(values_)) {
  const auto real = [](const Field& field) { return is_real(field.type); };
  for (const Field& field : spec_.fields) {
    if (!real(field) && field.bound < 1) throw InternalError("synthetic integers need a bound: " + field.name);
  }
  if (std::ranges::none_of(spec_.fields, real)) return;
  reals_.resize(kRow);
  for (std::uint64_t k = 0; k < kRow; ++k) reals_[k] = nearly_normal(splitmix(values_ + k));
}

std::string SyntheticDataset::digest() const {
  std::vector<std::string> parts;
  for (const Field& field : spec_.fields) {
    parts.push_back(join(field.sizes, "×") + " below " + std::to_string(field.bound));
  }
  return "synthetic " + join(parts, " → ") + ", " + std::to_string(size_) + " of seed " + std::to_string(seed_);
}

std::uint64_t SyntheticDataset::start_of(std::size_t field, std::int64_t sample) const {
  const std::uint64_t first = starts_ + 2 * static_cast<std::uint64_t>(sample);
  if (field == 0) return splitmix(first) % kRow;
  if (field + 1 == spec_.fields.size()) return splitmix(first + 1) % kRow;
  return splitmix(splitmix(first) + field) % kRow;
}

void SyntheticDataset::read_field(std::size_t field, std::span<const std::int64_t> samples, std::byte* out) const {
  const Field& wanted = spec_.fields[field];
  const auto windows = [&]<typename Number>(Number* number, const auto& at) {
    for (const std::int64_t sample : samples) {
      std::uint64_t k = start_of(field, sample);
      for (std::int64_t left = wanted.numbers(); left > 0; k = 0) {
        const std::int64_t here = std::min(left, static_cast<std::int64_t>(kRow - k));
        for (const std::uint64_t end = k + static_cast<std::uint64_t>(here); k < end; ++k) {
          *number++ = static_cast<Number>(at(k));
        }
        left -= here;
      }
    }
  };
  const auto real = [row = reals_.data()](std::uint64_t k) { return row[k]; };
  const auto bounded = [values = values_, bound = static_cast<std::uint64_t>(wanted.bound)](std::uint64_t k) {
    return splitmix(values + k) % bound;
  };
  switch (wanted.type) {
    case ElementType::kFloat:
      return windows(reinterpret_cast<float*>(out), real);
    case ElementType::kDouble:
      return windows(reinterpret_cast<double*>(out), real);
    case ElementType::kInt64:
      return windows(reinterpret_cast<std::int64_t*>(out), bounded);
    case ElementType::kInt32:
      return windows(reinterpret_cast<std::int32_t*>(out), bounded);
    case ElementType::kBool:
      return windows(reinterpret_cast<bool*>(out), bounded);
    default:
      throw InternalError("synthetic data is not of type " + to_string(wanted.type));
  }
}

void SyntheticDataset::read(std::span<const std::int64_t> samples, std::span<std::byte* const> fields) const {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i] != nullptr) read_field(i, samples, fields[i]);
  }
}

}  // namespace lockstep

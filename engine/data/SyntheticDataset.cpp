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

SyntheticDataset::SyntheticDataset(SampleShape shape, std::int64_t size, std::uint64_t seed)
    : shape_(std::move(shape)),
      size_(size),
      seed_(seed),
      values_(splitmix(seed)),
      starts_(splitmix(values_)),
      input_length_(shape_.input_numbers()),
      target_length_(shape_.target_numbers()) {
  if (shape_.vocabulary > 0 && shape_.class_labels) return;
  reals_.resize(kRow);
  for (std::uint64_t k = 0; k < kRow; ++k) reals_[k] = nearly_normal(splitmix(values_ + k));
}

std::string SyntheticDataset::digest() const {
  return "synthetic " + join(shape_.input, "×") + format(" below %lld → ", static_cast<long long>(shape_.vocabulary)) +
         join(shape_.target, "×") + format(" below %lld, ", static_cast<long long>(shape_.classes)) +
         std::to_string(size_) + " of seed " + std::to_string(seed_);
}

void SyntheticDataset::require_classes(std::int64_t classes, const std::string& reason) const {
  if (shape_.classes <= classes) return;
  throw InputError("synthetic labels are of " + std::to_string(shape_.classes) + " classes, but " + reason);
}

void SyntheticDataset::read_windows(std::span<const std::int64_t> samples, bool targets, std::int64_t length,
                                    std::int64_t bound, Precision precision, void* out) const {
  const auto windows = [&]<typename Number>(Number* number, const auto& at) {
    for (const std::int64_t sample : samples) {
      std::uint64_t k = splitmix(starts_ + 2 * static_cast<std::uint64_t>(sample) + (targets ? 1 : 0)) % kRow;
      for (std::int64_t left = length; left > 0; k = 0) {
        const std::int64_t here = std::min(left, static_cast<std::int64_t>(kRow - k));
        for (const std::uint64_t end = k + static_cast<std::uint64_t>(here); k < end; ++k) {
          *number++ = static_cast<Number>(at(k));
        }
        left -= here;
      }
    }
  };
  if (bound > 0) {
    windows(static_cast<std::int64_t*>(out),
            [&](std::uint64_t k) { return splitmix(values_ + k) % static_cast<std::uint64_t>(bound); });
  } else {
    const auto real = [row = reals_.data()](std::uint64_t k) { return row[k]; };
    precision == Precision::kFp64 ? windows(static_cast<double*>(out), real) : windows(static_cast<float*>(out), real);
  }
}

void SyntheticDataset::read(std::span<const std::int64_t> samples, Precision precision, void* inputs,
                            void* targets) const {
  read_windows(samples, false, input_length_, shape_.vocabulary, precision, inputs);
  read_windows(samples, true, target_length_, shape_.class_labels ? shape_.classes : 0, precision, targets);
}

}  // namespace lockstep

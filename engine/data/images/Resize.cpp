#include "engine/data/images/Resize.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

namespace lockstep {

namespace {

constexpr int kBits = 22;  // of a weight behind the point
constexpr std::int32_t kHalf = std::int32_t{1} << (kBits - 1);

std::uint8_t byte_of(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> kBits, 0, 255)); }

/// What each position of a result takes of a row or column.
struct Weights {
  struct Place {
    std::int32_t first = 0;  ///< position that it begins at
    std::int32_t count = 0;
  };
  std::vector<Place> places{};
  std::vector<std::int32_t> numbers{};  ///< `most` for each place
  std::size_t most = 0;

  const std::int32_t* of(std::size_t place) const { return numbers.data() + place * most; }
};

/// From `begin` on `length` pixels become `count`.
void find_weights(double begin, double length, std::int64_t count, Weights& weights) {
  const double scale = length / static_cast<double>(count);
  const double reach = std::max(scale, 1.0);
  const double inverse = 1 / reach;
  const double least = std::floor(begin);
  const double most = std::ceil(begin + length);
  weights.most = static_cast<std::size_t>(std::ceil(reach)) * 2 + 1;
  weights.places.resize(static_cast<std::size_t>(count));
  weights.numbers.assign(static_cast<std::size_t>(count) * weights.most, 0);
  std::vector<double> real(weights.most);
  for (std::size_t i = 0; i < weights.places.size(); ++i) {
    const double center = begin + (static_cast<double>(i) + 0.5) * scale;
    const auto first = static_cast<std::int32_t>(std::max(std::floor(center - reach + 0.5), least));
    const auto end = static_cast<std::int32_t>(std::min(std::floor(center + reach + 0.5), most));
    weights.places[i] = {.first = first, .count = end - first};
    double sum = 0;
    for (std::int32_t x = first; x < end; ++x) {
      const double weight = std::max(1 - std::abs((x - center + 0.5) * inverse), 0.0);
      real[static_cast<std::size_t>(x - first)] = weight;
      sum += weight;
    }
    for (std::int32_t k = 0; k < end - first; ++k) {
      const double weight = real[static_cast<std::size_t>(k)] / sum;
      weights.numbers[i * weights.most + static_cast<std::size_t>(k)] =
          static_cast<std::int32_t>(0.5 + weight * (std::int32_t{1} << kBits));
    }
  }
}

template <int kChannels>
void scale_row(const std::uint8_t* row, std::int64_t begin, const Weights& weights, std::uint8_t* out) {
  for (std::size_t i = 0; i < weights.places.size(); ++i, out += kChannels) {
    const std::uint8_t* from = row + (weights.places[i].first - begin) * kChannels;
    const std::int32_t* numbers = weights.of(i);
    std::int32_t sums[kChannels];
    std::fill_n(sums, kChannels, kHalf);
    for (std::int32_t k = 0; k < weights.places[i].count; ++k, from += kChannels) {
      for (int c = 0; c < kChannels; ++c) sums[c] += numbers[k] * from[c];
    }
    for (int c = 0; c < kChannels; ++c) out[c] = byte_of(sums[c]);
  }
}

// Integers, so that the order of sums does not matter: whichever of these runs, the result is the same.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define LOCKSTEP_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define LOCKSTEP_CLONES
#endif

LOCKSTEP_CLONES void add_row(const std::uint8_t* row, std::int32_t number, std::size_t count, std::int32_t* sums) {
  for (std::size_t i = 0; i < count; ++i) sums[i] += number * row[i];
}

LOCKSTEP_CLONES void write_row(const std::int32_t* sums, std::size_t count, std::uint8_t* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = byte_of(sums[i]);
}

/// Of columns from `first` on, as many as `out` is wide.
void scale_columns(const Pixels& image, std::int64_t first, const Weights& weights, Pixels& out) {
  const auto count = static_cast<std::size_t>(out.width * out.channels);
  thread_local std::vector<std::int32_t> sums;
  sums.resize(count);
  for (std::size_t y = 0; y < weights.places.size(); ++y) {
    std::ranges::fill(sums, kHalf);
    const Weights::Place& place = weights.places[y];
    for (std::int32_t k = 0; k < place.count; ++k) {
      add_row(image.row(place.first + k) + first * image.channels, weights.of(y)[k], count, sums.data());
    }
    write_row(sums.data(), count, out.row(static_cast<std::int64_t>(y)));
  }
}

void copy(const Pixels& image, std::int64_t top, std::int64_t left, Pixels& out) {
  for (std::int64_t y = 0; y < out.height; ++y) {
    std::memcpy(out.row(y), image.row(top + y) + left * image.channels,
                static_cast<std::size_t>(out.width * out.channels));
  }
}

}  // namespace

void resize(const Pixels& image, const Box& box, std::int64_t height, std::int64_t width, Pixels& out) {
  out.resize(height, width, image.channels);
  const auto whole = [](double size, std::int64_t found, double begin) {
    return size == static_cast<double>(found) && std::floor(begin) == begin;
  };
  if (whole(box.height, height, box.top) && whole(box.width, width, box.left)) {
    return copy(image, static_cast<std::int64_t>(box.top), static_cast<std::int64_t>(box.left), out);
  }
  thread_local Weights along_rows;
  thread_local Weights along_columns;
  thread_local Pixels columns;
  find_weights(box.left, box.width, width, along_rows);
  find_weights(box.top, box.height, height, along_columns);
  const std::int64_t first = along_rows.places.front().first;
  const std::int64_t end = along_rows.places.back().first + along_rows.places.back().count;
  columns.resize(height, end - first, image.channels);
  scale_columns(image, first, along_columns, columns);
  for (std::int64_t y = 0; y < height; ++y) {
    (image.channels == 1 ? scale_row<1> : scale_row<3>)(columns.row(y), first, along_rows, out.row(y));
  }
}

}  // namespace lockstep

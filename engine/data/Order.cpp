#include "engine/data/Order.h"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>

#include "common/Error.h"
#include "common/SplitMix.h"

namespace lockstep {

namespace {

constexpr int kRounds = 6;

constexpr std::size_t kLanes = 8;  // a round waits for the one before: several values fill the time

void feistel(std::uint64_t* values, std::uint64_t key, int half_bits) {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits) - 1;
  std::array<std::uint64_t, kLanes> left;
  std::array<std::uint64_t, kLanes> right;
  for (std::size_t i = 0; i < kLanes; ++i) {
    left[i] = values[i] >> half_bits;
    right[i] = values[i] & mask;
  }
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      const std::uint64_t next = left[i] ^ (splitmix(key ^ splitmix(right[i] ^ (round << 48))) & mask);
      left[i] = right[i];
      right[i] = next;
    }
  }
  for (std::size_t i = 0; i < kLanes; ++i) values[i] = (left[i] << half_bits) | right[i];
}

}  // namespace

Order::Order(std::uint64_t seed, std::int64_t size, bool shuffle)
    : seed_(seed), size_(static_cast<std::uint64_t>(size)), shuffle_(shuffle) {
  if (size < 0 || size > (std::int64_t{1} << 40)) throw InternalError("an order needs a size of 0 to 2^40");
  const auto bits = static_cast<int>(std::bit_width(size_ == 0 ? 0 : size_ - 1));
  half_bits_ = std::max(1, (bits + 1) / 2);
}

std::int64_t Order::operator()(std::int64_t epoch, std::int64_t position) const {
  return samples(epoch, {position, position + 1}).front();
}

std::vector<std::int64_t> Order::samples(std::int64_t epoch, const Slice& slice) const {
  std::vector<std::int64_t> samples(static_cast<std::size_t>(slice.size()));
  std::iota(samples.begin(), samples.end(), slice.begin);
  if (!shuffle_) return samples;
  std::vector<std::uint64_t> walking(samples.begin(), samples.end());
  std::vector<std::size_t> places(samples.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  const std::uint64_t key = splitmix(splitmix(seed_) ^ static_cast<std::uint64_t>(epoch));
  while (!walking.empty()) {
    walking.resize((walking.size() + kLanes - 1) / kLanes * kLanes);
    for (std::size_t i = 0; i < walking.size(); i += kLanes) feistel(&walking[i], key, half_bits_);
    std::size_t left = 0;  // outside, to be permuted again
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (walking[i] < size_) {
        samples[places[i]] = static_cast<std::int64_t>(walking[i]);
      } else {
        walking[left] = walking[i];
        places[left++] = places[i];
      }
    }
    walking.resize(left);
    places.resize(left);
  }
  return samples;
}

}  // namespace lockstep

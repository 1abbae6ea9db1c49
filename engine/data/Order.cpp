#include "engine/data/Order.h"

#include <algorithm>
#include <bit>

#include "common/Error.h"
#include "common/SplitMix.h"

namespace lockstep {

namespace {

constexpr int kRounds = 6;

std::uint64_t feistel(std::uint64_t value, std::uint64_t key, int half_bits) {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits) - 1;
  std::uint64_t left = value >> half_bits;
  std::uint64_t right = value & mask;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const std::uint64_t next = left ^ (splitmix(key ^ splitmix(right ^ (round << 48))) & mask);
    left = right;
    right = next;
  }
  return (left << half_bits) | right;
}

}  // namespace

Order::Order(std::uint64_t seed, std::int64_t size, bool shuffle)
    : seed_(seed), size_(static_cast<std::uint64_t>(size)), shuffle_(shuffle) {
  if (size < 0 || size > (std::int64_t{1} << 40)) throw InternalError("an order needs a size of 0 to 2^40");
  const auto bits = static_cast<int>(std::bit_width(size_ == 0 ? 0 : size_ - 1));
  half_bits_ = std::max(1, (bits + 1) / 2);
}

std::int64_t Order::operator()(std::int64_t epoch, std::int64_t position) const {
  if (!shuffle_) return position;
  const std::uint64_t key = splitmix(splitmix(seed_) ^ static_cast<std::uint64_t>(epoch));
  auto value = static_cast<std::uint64_t>(position);
  do {
    value = feistel(value, key, half_bits_);
  } while (value >= size_);
  return static_cast<std::int64_t>(value);
}

}  // namespace lockstep
